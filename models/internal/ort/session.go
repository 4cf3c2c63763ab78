package ort

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/needle-search/needle/models"
)

// ErrDevice says that a session cannot use the device that was asked for.
var ErrDevice = errors.New("device is not available")

// ErrGraph says that ONNX Runtime refuses a graph: it is damaged, or uses
// operators that this library does not have.
var ErrGraph = errors.New("ONNX Runtime refuses the graph")

// A SessionConfig says how a graph is opened.
type SessionConfig struct {
	// Inputs and Outputs name the tensors in the order in which [Session.Run]
	// takes and gives them. They must be those of the graph: a wrong name shows
	// in the first run only.
	Inputs, Outputs []string
	// Threads is how many threads share one run, 1 when 0.
	Threads int
	// Memory says how memory is kept; the zero value is what was measured to be
	// best.
	Memory Memory
	// CUDA runs the graph on the GPU of that number instead of the CPU.
	CUDA *int
}

// A Session is an open graph.
type Session struct {
	session *ort.DynamicAdvancedSession
	inputs  int
	outputs []string

	mu      sync.Mutex
	running int
	closed  bool
	idle    chan struct{} // closed when closed is set and nothing runs
	done    chan struct{} // closed when the session is freed
	err     error         // of freeing it; read after done
}

// An Output is a tensor that a run computed, with its batch dimension.
type Output struct {
	Shape []int64
	Data  []float32
}

// NewSession opens a graph. The bytes may be reused afterwards.
func (l *Library) NewSession(graph []byte, config SessionConfig) (*Session, error) {
	if len(graph) == 0 {
		return nil, fmt.Errorf("ort: open session: %w: it is empty", ErrGraph)
	}
	options, err := newOptions(config)
	if err != nil {
		return nil, fmt.Errorf("ort: open session: %w", err)
	}
	defer options.Destroy()
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(graph, config.Inputs, config.Outputs, options)
	trim() // what parsing and optimising took
	if err != nil {
		return nil, fmt.Errorf("ort: open session: %w: %s", ErrGraph, strings.TrimPrefix(err.Error(), "Error creating C session: "))
	}
	return &Session{
		session: session,
		inputs:  len(config.Inputs),
		outputs: config.Outputs,
		idle:    make(chan struct{}),
		done:    make(chan struct{}),
	}, nil
}

func newOptions(config SessionConfig) (*ort.SessionOptions, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	threads := max(config.Threads, 1)
	faults := []error{
		options.SetIntraOpNumThreads(threads),
		options.SetInterOpNumThreads(1),
		options.SetExecutionMode(ort.ExecutionModeSequential),
		options.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		config.Memory.apply(options),
	}
	if threads > 1 {
		// Threads that spin take the cores from other runs.
		faults = append(faults,
			options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
			options.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"))
	}
	if config.CUDA != nil {
		faults = append(faults, appendCUDA(options, *config.CUDA))
	}
	if err := errors.Join(faults...); err != nil {
		options.Destroy()
		return nil, err
	}
	return options, nil
}

func appendCUDA(options *ort.SessionOptions, device int) error {
	unavailable := func(err error) error {
		return fmt.Errorf("%w: cuda:%d: this ONNX Runtime cannot use it (a library with CUDA, a driver and the device are needed): %w", ErrDevice, device, err)
	}
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return unavailable(err)
	}
	defer cuda.Destroy()
	if err := cuda.Update(map[string]string{"device_id": strconv.Itoa(device)}); err != nil {
		return unavailable(err)
	}
	if err := options.AppendExecutionProviderCUDA(cuda); err != nil {
		return unavailable(err)
	}
	return nil
}

// Run runs the graph on inputs of one shape, in the order of
// SessionConfig.Inputs. When the context ends, the native code is told to stop,
// and Run returns the context's error once it has.
func (s *Session) Run(ctx context.Context, shape []int64, inputs [][]int64) ([]Output, error) {
	if len(inputs) != s.inputs {
		return nil, fmt.Errorf("ort: run: got %d inputs, want %d", len(inputs), s.inputs)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.acquire(); err != nil {
		return nil, err
	}
	defer s.release()

	values := make([]ort.Value, 0, len(inputs))
	defer func() { destroy(values) }()
	for _, data := range inputs {
		tensor, err := ort.NewTensor(ort.Shape(shape), data)
		if err != nil {
			return nil, fmt.Errorf("ort: run: input of shape %v: %w", shape, err)
		}
		values = append(values, tensor)
	}
	results := make([]ort.Value, len(s.outputs))
	defer func() { destroy(results) }()

	err := s.call(ctx, values, results)
	// The tensors point into inputs.
	runtime.KeepAlive(inputs)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("ort: run: %w", err)
	}
	outputs := make([]Output, len(results))
	for i, value := range results {
		tensor, ok := value.(*ort.Tensor[float32])
		if !ok {
			return nil, fmt.Errorf("ort: run: output %q is no tensor of float32", s.outputs[i])
		}
		// The wrapper has copied the data to memory of Go already, which
		// outlives the tensor.
		outputs[i] = Output{Shape: tensor.GetShape(), Data: tensor.GetData()}
	}
	return outputs, nil
}

// call runs the graph and, if the context can end, listens to it.
func (s *Session) call(ctx context.Context, inputs, outputs []ort.Value) error {
	if ctx.Done() == nil {
		return s.session.Run(inputs, outputs)
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	terminated := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { terminated <- options.Terminate() })
	err = s.session.RunWithOptions(inputs, outputs, options)
	if !stop() {
		// The options must not be freed under the hands of Terminate.
		err = errors.Join(err, <-terminated)
	}
	return err
}

func destroy(values []ort.Value) {
	for _, v := range values {
		if v != nil {
			v.Destroy()
		}
	}
}

func (s *Session) acquire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return models.ErrModelClosed
	}
	s.running++
	return nil
}

func (s *Session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if s.closed && s.running == 0 {
		close(s.idle)
	}
}

// Close waits for running calls and frees the session. Closing twice is
// allowed; every call returns after the session was freed.
func (s *Session) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if first && s.running == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	if first {
		<-s.idle
		s.err = s.session.Destroy()
		trim()
		close(s.done)
	}
	<-s.done
	return s.err
}
