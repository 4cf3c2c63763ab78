package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/onnx"
)

// settings are the ways of keeping memory that can stand beside each other in
// one process.
var settings = []struct {
	name   string
	memory onnx.Memory
}{
	{"arena", onnx.Memory{}},
	{"arena and patterns", onnx.Memory{Patterns: true}},
	{"arena, weights outside", onnx.Memory{WeightsOutside: true}},
	{"no arena", onnx.Memory{NoArena: true}},
}

// arenas measures the speed of each setting; bench/memory measures the memory.
func (s *setup) arenas(ctx context.Context, workers, rounds int) error {
	library, err := onnx.Locate(onnx.LocateOptions{})
	if err != nil {
		return err
	}
	windows := s.encodings[:min(50, len(s.encodings))]
	wall, cpu := make([][]float64, len(settings)), make([][]float64, len(settings))
	services := make([]*infer.Service, len(settings))
	for i, setting := range settings {
		model, err := onnx.Open(ctx, onnx.Config{LibraryPath: library.Path, Memory: setting.memory}, s.bundle)
		if err != nil {
			return err
		}
		if services[i], err = infer.New(model, infer.Config{Workers: workers}); err != nil {
			return errors.Join(err, model.Close())
		}
		defer services[i].Close()
	}
	for round := range rounds + 2 {
		for i, service := range services {
			begin, used := time.Now(), processorTime()
			if err := service.Each(ctx, windows, func(int, models.Outputs) error { return nil }); err != nil {
				return err
			}
			if round > 1 { // the first rounds ask the system for memory
				wall[i], cpu[i] = append(wall[i], ms(time.Since(begin))), append(cpu[i], ms(processorTime()-used))
			}
		}
	}
	fmt.Printf("| %d windows | wall ms | CPU ms | wall to the first | CPU to the first |\n|---|---|---|---|---|\n", len(windows))
	for i, setting := range settings {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", setting.name, spread(wall[i], 0), spread(cpu[i], 0), spread(ratios(wall[i], wall[0]), 2), spread(ratios(cpu[i], cpu[0]), 2))
	}
	return nil
}
