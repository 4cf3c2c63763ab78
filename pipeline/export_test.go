package pipeline

// TopProbability is what a profile says of the first answer of a question, and
// whether it is right.
func TopProbability(p Profile, o Observation) (float64, bool) {
	features, top, ok := p.top(o)
	if !ok {
		return 0, false
	}
	return p.Answer.probability(features[0], features[1]), top.Correct
}
