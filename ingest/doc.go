// Package ingest turns files and documents into passages in an index.
//
// [Walk] finds files, a [Processor] turns each into documents, a [Splitter]
// cuts their text into passages that fit the reader, and an [Ingester] drives
// the three and writes what changed:
//
//	splitter, err := ingest.NewSplitter(ingest.DefaultSplitterConfig(), tokenizer)
//	ingester, err := ingest.New(splitter, processors, ingest.Options{})
//	report, err := ingester.AddPaths(ctx, index, []string{"handbook"}, ingest.Events{})
//
// There is one subpackage a file format; a new format is one more subpackage
// and one line where the processors are listed. What cannot be taken (a broken
// record, an unreadable file) is a [Fault] in the report and never stops the
// rest. Splitters and Ingesters are immutable and safe for concurrent use.
//
// A document from a file has the id source/relative-path, where source is the
// name of the directory that was given. Symbolic links never lead out of it.
package ingest
