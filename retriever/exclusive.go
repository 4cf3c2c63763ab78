package retriever

// Exclusive is an index that only this process can change, so that Generation
// always tells its newest state. What was computed from that generation is
// still right; for other indexes only a call that asks the back end can say.
type Exclusive interface {
	Exclusive() bool
}
