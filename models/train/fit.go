package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/needle-search/needle/models"
)

// A Config says how to fit. The zero value works.
type Config struct {
	// Seed decides what is held out and in which order examples are seen.
	Seed uint64
	// HoldOut is the share of the examples that is held out, 0.2 when 0.
	HoldOut float64
	// Rounds is how often all examples are seen at most, 200 when 0; Patience,
	// after how many rounds without a lower held-out loss to stop, 6 when 0.
	Rounds, Patience int
	// Batch is how many examples make a step, 16 when 0.
	Batch int
	// LearningRate is Adam's step size; 0 means 0.001, and 0.0002 for a layer
	// that is fitted anew.
	LearningRate float64
	// Decay is the strength of the pull back to where the layer began, 0.001
	// when 0; a negative one means none.
	Decay float64
	// Checkpoint, when set, is a file that is written after every round and
	// from which a run goes on.
	Checkpoint string
	// Progress, when set, is told of the features that were computed; Round, of
	// every round. They must return quickly.
	Progress func(done, total int)
	Round    func(Round)
}

// A Round is what one pass over the examples came to. Round 0 is the state
// before fitting.
type Round struct {
	Round int `json:"round"`
	// Loss is the mean cross-entropy of the examples that were learned from,
	// HeldOut that of the others, Right the share of those with the right
	// prediction: the right label, or both ends of the answer.
	Loss    float64 `json:"loss"`
	HeldOut float64 `json:"held_out_loss"`
	Right   float64 `json:"held_out_right"`
}

// A Head is a fitted layer.
type Head struct {
	task *Task
	// Best is the round whose weights were kept, Start the state before
	// fitting.
	Best, Start Round
	// Rounds are all of them.
	Rounds []Round
	// Learned and HeldOut count the encodings.
	Learned, HeldOut int
	// Resumed says that fitting went on from a checkpoint.
	Resumed bool

	base         models.ModelInfo
	seed         uint64
	weight, bias []float32
}

func (c Config) withDefaults(t *Task) (Config, error) {
	c.HoldOut = cmp.Or(c.HoldOut, 0.2)
	c.Rounds, c.Patience, c.Batch = cmp.Or(c.Rounds, 200), cmp.Or(c.Patience, 6), cmp.Or(c.Batch, 16)
	rate := 0.001
	if t.start != nil {
		rate = 0.0002
	}
	c.LearningRate, c.Decay = cmp.Or(c.LearningRate, rate), max(cmp.Or(c.Decay, 0.001), 0)
	var faults []error
	check := func(ok bool, key string, value any, allowed string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %v; allowed is %s", key, value, allowed))
		}
	}
	check(c.HoldOut > 0 && c.HoldOut < 0.9, "hold_out", c.HoldOut, "more than 0, less than 0.9")
	check(c.Rounds > 0 && c.Rounds <= 10000, "rounds", c.Rounds, "1 to 10000")
	check(c.Patience > 0, "patience", c.Patience, "1 or more")
	check(c.Batch > 0, "batch", c.Batch, "1 or more")
	check(c.LearningRate > 0 && c.LearningRate <= 1, "learning_rate", c.LearningRate, "more than 0, at most 1")
	check(c.Decay <= 10, "decay", c.Decay, "at most 10")
	return c, errors.Join(faults...)
}

// split shuffles whole groups and holds out the first.
func split(items []item, share float64, seed uint64) (learn, held []int, err error) {
	groups := map[string][]int{}
	var names []string
	for i, it := range items {
		if groups[it.group] == nil {
			names = append(names, it.group)
		}
		groups[it.group] = append(groups[it.group], i)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	want := max(int(math.Round(share*float64(len(items)))), 1)
	for _, name := range names {
		if len(held) < want {
			held = append(held, groups[name]...)
		} else {
			learn = append(learn, groups[name]...)
		}
	}
	if len(learn) == 0 {
		return nil, nil, fmt.Errorf("train: %w: all of them share one text, so none can be held out", ErrExamples)
	}
	slices.Sort(learn)
	return learn, held, nil
}

// state is everything that a run must know to go on.
type state struct {
	// Run identifies examples, model and configuration.
	Run   string
	Round int
	// Weights holds weight [outputs, width] and then bias [outputs]; Mean and
	// Square are Adam's moments.
	Weights, Mean, Square []float64
	Step                  int
	Best                  []float64
	BestRound             int
	Rounds                []Round
}

// fitter runs the rounds.
type fitter struct {
	task   *Task
	states *States
	config Config
	keys   [][32]byte
	learn  []int
	held   []int
	origin []float64
	state
	buffer   []byte
	features []float32
	gradient []float64
	logits   []float64
}

// Fit fits a head. The errors are [ErrExamples], [ErrCheckpoint], those of the
// model and the context's; after the latter the checkpoint is complete.
func Fit(ctx context.Context, task *Task, states *States, config Config) (*Head, error) {
	config, err := config.withDefaults(task)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if info := states.model.Info(); !slices.Contains(info.OutputNames, task.output()) {
		return nil, fmt.Errorf("train: %w: the graph of %q has no output %q", models.ErrInvalidBundle, info.Name, task.output())
	}
	f := &fitter{task: task, states: states, config: config, keys: make([][32]byte, len(task.items))}
	for i, it := range task.items {
		f.keys[i] = states.key(task, it)
	}
	if f.learn, f.held, err = split(task.items, config.HoldOut, config.Seed); err != nil {
		return nil, err
	}
	if err := states.fill(ctx, task, f.keys, config.Progress); err != nil {
		return nil, err
	}
	resumed, err := f.begin()
	if err != nil {
		return nil, err
	}
	if !resumed {
		if err := f.look(0, math.NaN()); err != nil {
			return nil, err
		}
	}
	for f.Round < config.Rounds && f.Round-f.BestRound < config.Patience {
		loss, err := f.pass(ctx)
		if err != nil {
			return nil, err
		}
		f.Round++
		if err := f.look(f.Round, loss); err != nil {
			return nil, err
		}
		if err := f.save(); err != nil {
			return nil, err
		}
	}
	h := &Head{
		task: task, Best: f.Rounds[f.BestRound], Start: f.Rounds[0], Rounds: f.Rounds, Learned: len(f.learn), HeldOut: len(f.held),
		Resumed: resumed, base: states.model.Info(), seed: config.Seed,
	}
	n := task.outputs * states.width
	for _, v := range f.Best[:n] {
		h.weight = append(h.weight, float32(v))
	}
	for _, v := range f.Best[n:] {
		h.bias = append(h.bias, float32(v))
	}
	return h, nil
}

// begin sets the state to the start, or to the checkpoint.
func (f *fitter) begin() (resumed bool, err error) {
	n := f.task.outputs * (f.states.width + 1)
	f.origin = make([]float64, n)
	if s := f.task.start; s != nil {
		if len(s.weight) != f.task.outputs*f.states.width || len(s.bias) != f.task.outputs {
			return false, fmt.Errorf("train: %w: the present head does not fit the model's width %d", models.ErrInvalidBundle, f.states.width)
		}
		for i, v := range slices.Concat(s.weight, s.bias) {
			f.origin[i] = float64(v)
		}
	}
	f.gradient = make([]float64, n)
	f.state = state{
		Run: f.run(), Weights: slices.Clone(f.origin), Mean: make([]float64, n), Square: make([]float64, n), Best: slices.Clone(f.origin),
	}
	return f.load()
}

// look measures the held-out examples and keeps the best weights.
func (f *fitter) look(round int, loss float64) error {
	r := Round{Round: round, Loss: loss}
	for _, i := range f.held {
		if err := f.forward(i); err != nil {
			return err
		}
		loss, right := f.task.loss(f.logits, f.task.items[i].target)
		r.HeldOut += loss / float64(len(f.held))
		if right {
			r.Right += 1 / float64(len(f.held))
		}
	}
	if math.IsNaN(r.HeldOut) || math.IsInf(r.HeldOut, 0) {
		return fmt.Errorf("train: the loss is no number in round %d; try a lower learning rate than %v", round, f.config.LearningRate)
	}
	if round == 0 {
		r.Loss = r.HeldOut
	}
	if f.Rounds = append(f.Rounds, r); round == 0 || r.HeldOut < f.Rounds[f.BestRound].HeldOut {
		f.BestRound, f.Best = round, slices.Clone(f.Weights)
	}
	if f.config.Round != nil {
		f.config.Round(r)
	}
	return nil
}

// forward computes the logits [rows, outputs] of an item.
func (f *fitter) forward(i int) (err error) {
	if f.buffer, f.features, err = f.states.get(f.keys[i], f.buffer, f.features); err != nil {
		return err
	}
	width, outputs := f.states.width, f.task.outputs
	rows := len(f.features) / width
	f.logits = f.logits[:0]
	bias := f.Weights[outputs*width:]
	for r := range rows {
		x := f.features[r*width : (r+1)*width]
		for o := range outputs {
			sum := bias[o]
			for k, w := range f.Weights[o*width : (o+1)*width] {
				sum += w * float64(x[k])
			}
			f.logits = append(f.logits, sum)
		}
	}
	return nil
}

// pass sees all examples once, in an order of its own, and returns their mean
// loss.
func (f *fitter) pass(ctx context.Context) (float64, error) {
	order := slices.Clone(f.learn)
	random := rand.New(rand.NewPCG(f.config.Seed, uint64(f.Round)+1))
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	total := 0.0
	for batch := range slices.Chunk(order, f.config.Batch) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		clear(f.gradient)
		for _, i := range batch {
			if err := f.forward(i); err != nil {
				return 0, err
			}
			loss, _ := f.task.loss(f.logits, f.task.items[i].target)
			total += loss
			f.backward()
		}
		f.update(len(batch))
	}
	return total / float64(len(order)), nil
}

// backward adds the gradient of the item that forward saw last.
func (f *fitter) backward() {
	width, outputs := f.states.width, f.task.outputs
	for r := range len(f.features) / width {
		x := f.features[r*width : (r+1)*width]
		for o := range outputs {
			g := f.logits[r*outputs+o]
			if math.Abs(g) < 1e-7 {
				continue // most tokens of a window: they would change nothing
			}
			row := f.gradient[o*width : (o+1)*width]
			for k, v := range x {
				row[k] += g * float64(v)
			}
			f.gradient[outputs*width+o] += g
		}
	}
}

// update makes a step of Adam with its usual constants.
func (f *fitter) update(batch int) {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	f.Step++
	c1, c2 := 1-math.Pow(beta1, float64(f.Step)), 1-math.Pow(beta2, float64(f.Step))
	for i, g := range f.gradient {
		g = g/float64(batch) + f.config.Decay*(f.Weights[i]-f.origin[i])
		f.Mean[i] = beta1*f.Mean[i] + (1-beta1)*g
		f.Square[i] = beta2*f.Square[i] + (1-beta2)*g*g
		f.Weights[i] -= f.config.LearningRate * (f.Mean[i] / c1) / (math.Sqrt(f.Square[i]/c2) + epsilon)
	}
}
