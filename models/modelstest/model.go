package modelstest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/needle-search/needle/models"
)

// Options are the settings of a fake [LanguageModel]; the zero value works.
type Options struct {
	// Name and Hash appear in the model's info; "fake" and a made-up hash
	// when empty.
	Name, Hash string
	// Width is the hidden size, 8 when 0.
	Width int
	// MaxLength is the greatest length of an encoding, 512 when 0.
	MaxLength int
	// BeforeRun, when set, is called at the start of every Run; an error from
	// it becomes the result. A test can block here until the context ends.
	BeforeRun func(ctx context.Context, batch []models.Encoding) error
}

// A LanguageModel is a fake whose hidden states depend on nothing but the
// token, its segment and its position: column 0 holds the id itself, the other
// columns a hash between -1 and 1. The heads of this package check column 0, so
// that outputs which were given to the wrong encoding are noticed.
type LanguageModel struct {
	options Options

	mu        sync.Mutex
	running   sync.WaitGroup
	closed    bool
	runs      int
	encodings int
}

var _ models.LanguageModel = (*LanguageModel)(nil)

// NewLanguageModel returns a fake language model.
func NewLanguageModel(options Options) *LanguageModel {
	if options.Name == "" {
		options.Name = "fake"
	}
	if options.Hash == "" {
		options.Hash = "00000000000000000000000000000000000000000000000000000000000fa4e0"
	}
	if options.Width == 0 {
		options.Width = 8
	}
	if options.MaxLength == 0 {
		options.MaxLength = 512
	}
	return &LanguageModel{options: options}
}

// Info describes the fake.
func (m *LanguageModel) Info() models.ModelInfo {
	return models.ModelInfo{
		Name:        m.options.Name,
		Hash:        m.options.Hash,
		Precision:   "fp32",
		Device:      "cpu",
		Width:       m.options.Width,
		MaxLength:   m.options.MaxLength,
		Runtime:     "fake",
		OutputNames: []string{models.OutputHidden},
	}
}

// Runs returns how often Run was called and how many encodings it was given.
func (m *LanguageModel) Runs() (calls, encodings int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs, m.encodings
}

// Run computes the hidden states.
func (m *LanguageModel) Run(ctx context.Context, batch []models.Encoding) ([]models.Outputs, error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, models.ErrModelClosed
	}
	m.running.Add(1)
	m.runs++
	m.encodings += len(batch)
	m.mu.Unlock()
	defer m.running.Done()

	if m.options.BeforeRun != nil {
		if err := m.options.BeforeRun(ctx, batch); err != nil {
			return nil, err
		}
	}
	results := make([]models.Outputs, len(batch))
	for i, e := range batch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch {
		case e.Len() == 0:
			return nil, errors.New("modelstest: run: empty encoding")
		case e.Len() > m.options.MaxLength:
			return nil, fmt.Errorf("modelstest: run: encoding has %d tokens, the model takes %d", e.Len(), m.options.MaxLength)
		}
		results[i] = models.Outputs{models.OutputHidden: m.hidden(e)}
	}
	return results, nil
}

func (m *LanguageModel) hidden(e models.Encoding) models.Tensor {
	width := m.options.Width
	t := models.Tensor{Shape: []int{e.Len(), width}, Data: make([]float32, e.Len()*width)}
	for i, id := range e.IDs {
		row := t.Data[i*width : (i+1)*width]
		state := uint64(uint32(id))<<32 | uint64(uint32(e.TypeIDs[i]))<<16 | uint64(i)
		for j := range row {
			state += 0x9e3779b97f4a7c15
			x := state
			x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
			x = (x ^ x>>27) * 0x94d049bb133111eb
			row[j] = float32(int32(x>>32)) / (1 << 31)
		}
		row[0] = float32(id)
	}
	return t
}

// Close waits for running calls.
func (m *LanguageModel) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.running.Wait()
	return nil
}

// checkHidden returns an error unless the outputs were computed from the
// encoding.
func checkHidden(outputs models.Outputs, e models.Encoding) error {
	hidden, err := outputs.Get(models.OutputHidden, e.Len())
	if err != nil {
		return err
	}
	_, width := hidden.Rows()
	for i, id := range e.IDs {
		if got := hidden.Data[i*width]; got != float32(id) {
			return fmt.Errorf("modelstest: token %d: the hidden state is of id %v, the encoding has %d", i, got, id)
		}
	}
	return nil
}
