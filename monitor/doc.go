// Package monitor watches how good a pipeline is: it keeps a record of every
// evaluation ([Experiments]), writes reports about them, and compares them.
//
// It stands outside the pipeline and measures it by asking, as a user would.
// All types are safe for concurrent use by several processes: records are
// written whole or not at all, and never changed.
package monitor
