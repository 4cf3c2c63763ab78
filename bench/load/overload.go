package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
)

// maxFlying is how many questions may wait for their answer at a time; the
// server takes fewer.
const maxFlying = 4096

// flood sends questions at a fixed rate. A client that is refused does not come
// back: others do, at the same rate.
func flood(c *client.Client, server string, rate float64, duration time.Duration, question func() string) (row, error) {
	if rate <= 0 {
		return row{}, errors.New("nothing was answered, so there is no rate to send at")
	}
	r := row{What: "overload", Rate: rate, LoadStart: loadAverage()}
	var mu sync.Mutex
	var times []float64
	var group sync.WaitGroup
	flying := make(chan struct{}, maxFlying)
	ticker := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer ticker.Stop()
	begin := time.Now()
	nextLook := begin
	for now := begin; now.Sub(begin) < duration; now = <-ticker.C {
		if !now.Before(nextLook) {
			nextLook = now.Add(10 * time.Second)
			group.Go(func() {
				mb := memory(server)
				mu.Lock()
				defer mu.Unlock()
				r.MemoryOver = append(r.MemoryOver, mb)
			})
		}
		select {
		case flying <- struct{}{}:
		default:
			return r, fmt.Errorf("%d questions wait for an answer or a refusal", maxFlying)
		}
		group.Go(func() {
			defer func() { <-flying }()
			start := time.Now()
			_, err := c.Ask(context.Background(), pipeline.Request{Question: question()})
			took := float64(time.Since(start).Microseconds()) / 1000
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				times = append(times, took)
			case errors.Is(err, models.ErrOverloaded):
				r.Refused++
			default:
				r.Failed++
			}
		})
	}
	group.Wait()
	r.finish(times, time.Since(begin))
	r.MemoryMB = memory(server)
	return r, nil
}
