//go:build race

package tokenizer_test

// raceDetector slows TestEveryCodePoint down tenfold.
const raceDetector = true
