package ort

import (
	"errors"
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// Memory says how ONNX Runtime keeps memory for a session on the CPU. The zero
// value is an arena without patterns: on a MiniLM in int8, two calls at a time,
// it came to rest at 136 MB over 100,000 requests, where the fastest setting, no
// arena, held 230 MB for a tenth more speed. bench/memory measures them all.
type Memory struct {
	// NoArena asks the system for every tensor and gives it back at once.
	NoArena bool
	// Patterns keeps a plan of the memory for every length of input seen.
	Patterns bool
	// WeightsOutside keeps the weights out of the arena.
	WeightsOutside bool
	// Exact lets the arena grow by what is asked for, not by powers of two. It
	// belongs to the process: the sessions that set it share one arena.
	Exact bool
}

// apply sets the options of a session.
func (m Memory) apply(options *ort.SessionOptions) error {
	faults := []error{
		options.SetCpuMemArena(!m.NoArena),
		options.SetMemPattern(m.Patterns),
	}
	if m.WeightsOutside {
		faults = append(faults, options.AddSessionConfigEntry("session.use_device_allocator_for_initializers", "1"))
	}
	if m.Exact {
		faults = append(faults, exactArena(), options.AddSessionConfigEntry("session.use_env_allocators", "1"))
	}
	return errors.Join(faults...)
}

// sameAsRequested is the arena's strategy in the numbering of ONNX Runtime.
const sameAsRequested = 1

// exactArena registers the shared arena once in the process, which is where
// ONNX Runtime keeps it.
var exactArena = sync.OnceValue(func() error {
	config, err := ort.NewArenaCfg(0, sameAsRequested, -1, -1)
	if err == nil {
		defer config.Destroy()
		info, infoErr := ort.GetMemoryInfo()
		if err = infoErr; err == nil {
			err = ort.CreateAndRegisterAllocator(info, config)
		}
	}
	if err != nil {
		return fmt.Errorf("ort: register the shared arena: %w", err)
	}
	return nil
})
