// Package retrievertest is the conformance suite of retrievers. A back end
// passes it or is none:
//
//	func TestConformance(t *testing.T) {
//		retrievertest.Run(t, func(t *testing.T) retriever.Backend {
//			backend, err := bleve.New(bleve.DefaultConfig(), t.TempDir())
//			if err != nil {
//				t.Fatal(err)
//			}
//			return backend
//		})
//	}
//
// The suite makes no assumption about scores beyond their order, and expects an
// English analysis with stop words.
package retrievertest
