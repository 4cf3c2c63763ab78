// Package arch holds the tests that keep the architecture: who may import
// whom, one importer for every third-party package, and one package comment
// each. The rules are those of docs/architecture.md.
package arch
