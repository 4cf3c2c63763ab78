package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
)

// A peer is the Python process.
type peer struct {
	command *exec.Cmd
	in      *json.Encoder
	out     *bufio.Reader
	close   func() error
}

func (s *setup) startPeer(ctx context.Context, python, dir string) (*peer, error) {
	graph, err := s.bundle.ReadFile(s.bundle.Manifest.Graphs[s.service.Info().Precision])
	if err != nil {
		return nil, err
	}
	type encoding struct {
		IDs   []int32 `json:"ids"`
		Types []int32 `json:"types"`
	}
	encodings := make([]encoding, len(s.encodings))
	for i, e := range s.encodings {
		encodings[i] = encoding{e.IDs, e.TypeIDs}
	}
	data, err := json.Marshal(encodings)
	if err != nil {
		return nil, err
	}
	graphPath, encodingsPath := filepath.Join(dir, "graph.onnx"), filepath.Join(dir, "encodings.json")
	if err := errors.Join(os.WriteFile(graphPath, graph, 0o600), os.WriteFile(encodingsPath, data, 0o600)); err != nil {
		return nil, err
	}
	p := &peer{command: exec.CommandContext(ctx, python, "bench/infer/peer.py", graphPath, encodingsPath)}
	p.command.Stderr = os.Stderr
	in, err := p.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	p.in, p.out = json.NewEncoder(in), bufio.NewReader(out)
	p.close = func() error { return errors.Join(in.Close(), p.command.Wait()) }
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the peer does not start: %w", err), p.close())
	}
	fmt.Printf("peer: Python ONNX Runtime %s\n", line)
	return p, nil
}

func (p *peer) run(mode string, count int) (measure, error) {
	var m measure
	err := p.in.Encode(map[string]any{"mode": mode, "count": count})
	var line []byte
	if err == nil {
		line, err = p.out.ReadBytes('\n')
	}
	if err == nil {
		err = json.Unmarshal(line, &m)
	}
	return m, err
}

// throughput measures the service, and the peer in both of its modes, in turns.
func (s *setup) throughput(ctx context.Context, python string, rounds int) error {
	dir, err := os.MkdirTemp("", "needle-infer-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := s.startPeer(ctx, python, dir)
	if err != nil {
		return err
	}
	for _, count := range []int{50, 512} {
		if err = s.compare(ctx, p, min(count, len(s.encodings)), rounds); err != nil {
			break
		}
	}
	return errors.Join(err, p.close())
}

func (s *setup) compare(ctx context.Context, p *peer, count, rounds int) error {
	systems := []string{"Needle", "singles", "batches"}
	wall, cpu, sums := map[string][]float64{}, map[string][]float64{}, map[string]float64{}
	for round := range rounds + 1 {
		for _, system := range systems {
			var m measure
			var err error
			if system == "Needle" {
				m, err = s.pass(ctx, s.encodings[:count])
			} else {
				m, err = p.run(system, count)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", system, err)
			}
			if round == 0 {
				continue // the first runs ask the system for memory
			}
			wall[system], cpu[system] = append(wall[system], m.Wall), append(cpu[system], m.CPU)
			sums[system] = m.Checksum
		}
	}
	if d := math.Abs(sums["Needle"]-sums["singles"]) / sums["Needle"]; d > 1e-4 {
		return fmt.Errorf("the checksums differ by %v: Needle %v, peer %v", d, sums["Needle"], sums["singles"])
	}
	fmt.Printf("\n| %d windows | wall ms | CPU ms | windows/s | Needle's windows/s to this | CPU of Needle to this | checksum |\n|---|---|---|---|---|---|---|\n", count)
	for _, system := range systems {
		perSecond := make([]float64, rounds)
		for i, w := range wall[system] {
			perSecond[i] = 1000 * float64(count) / w
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s | %.4f |\n", system, spread(wall[system], 0), spread(cpu[system], 0), spread(perSecond, 0),
			spread(ratios(wall[system], wall["Needle"]), 2), spread(ratios(cpu["Needle"], cpu[system]), 2), sums[system])
	}
	return nil
}
