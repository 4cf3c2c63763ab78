package infer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
)

// TestInteractiveBeforeBulk queues bulk requests first and interactive ones
// after them.
func TestInteractiveBeforeBulk(t *testing.T) {
	m := newTurnstile()
	s := open(t, m, infer.Config{Workers: 1})
	var group sync.WaitGroup
	run := func(ctx context.Context, id, requests int) {
		group.Go(func() {
			if _, err := s.Run(ctx, []models.Encoding{encoding(id, 4)}); err != nil {
				t.Error(err)
			}
		})
		waitFor(t, "the request waits", func() bool { return s.Stats().Requests == requests })
	}
	run(t.Context(), 0, 1) // holds the worker
	waitFor(t, "the worker is busy", func() bool { return len(m.started()) == 1 })
	bulk := infer.WithPriority(t.Context(), infer.Bulk)
	for i := range 4 {
		run(bulk, 100+i, 2+i)
	}
	for i := range 12 {
		run(t.Context(), 1+i, 6+i)
	}
	for range 17 {
		m.permits <- struct{}{}
	}
	group.Wait()
	order := m.started()
	firstBulk := slices.IndexFunc(order, func(id int) bool { return id >= 100 })
	lastInteractive := slices.IndexFunc(order, func(id int) bool { return id == 12 })
	if firstBulk != 7 {
		t.Errorf("the first bulk request ran as number %d of %v, want 7: after seven interactive ones", firstBulk, order)
	}
	if lastInteractive != 13 {
		t.Errorf("the last interactive request ran as number %d of %v, want 13: behind one bulk request only", lastInteractive, order)
	}
	if !slices.IsSorted(slices.DeleteFunc(slices.Clone(order), func(id int) bool { return id >= 100 })) {
		t.Errorf("interactive requests ran in the order %v, want that of their coming", order)
	}
}

func TestBulkLeavesRoomInTheQueue(t *testing.T) {
	m := newTurnstile()
	s := open(t, m, infer.Config{Workers: 1, Queue: 4})
	bulk := infer.WithPriority(t.Context(), infer.Bulk)
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() { _, _ = s.Run(bulk, []models.Encoding{encoding(i, 4)}) })
	}
	waitFor(t, "two wait", func() bool { return s.Stats().Bulk == 2 })
	if _, err := s.Run(bulk, []models.Encoding{encoding(9, 4)}); !errors.Is(err, models.ErrOverloaded) {
		t.Errorf("a third bulk request: got %v, want %v", err, models.ErrOverloaded)
	}
	group.Go(func() {
		if _, err := s.Run(t.Context(), []models.Encoding{encoding(3, 4)}); err != nil {
			t.Errorf("an interactive request: %v", err)
		}
	})
	waitFor(t, "three wait", func() bool { return s.Stats().Requests == 3 })
	for range 3 {
		m.permits <- struct{}{}
	}
	group.Wait()
	if stats := s.Stats(); stats.Bulk != 0 || stats.Requests != 0 {
		t.Errorf("got %+v, want nothing left", stats)
	}
}

// TestMaxWait lets the gate learn how slow the model is and how much is usually
// asked of it, and then fills it.
func TestMaxWait(t *testing.T) {
	m := newTurnstile()
	s := open(t, m, infer.Config{Workers: 1, MaxWait: time.Nanosecond})
	enter := func(ctx context.Context) (context.Context, func()) {
		t.Helper()
		entered, leave, err := s.Enter(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return entered, leave
	}
	run := func(ctx context.Context, id int) {
		t.Helper()
		if _, err := s.Run(ctx, []models.Encoding{encoding(id, 4)}); err != nil {
			t.Fatalf("request %d: %v", id, err)
		}
	}
	for range 10 {
		m.permits <- struct{}{}
	}
	first, leave := enter(t.Context())
	run(first, 1)
	leave()

	entered, leave := enter(t.Context())
	if got := s.Stats().Requests; got != 1 {
		t.Errorf("%d requests are there, want the one that has entered and runs nothing", got)
	}
	_, _, err := s.Enter(t.Context())
	var overload *infer.OverloadError
	if !errors.Is(err, models.ErrOverloaded) || !errors.As(err, &overload) || overload.After() <= 0 || overload.Requests != 1 {
		t.Errorf("got %v (%+v), want overload with a time to come back", err, overload)
	}
	if _, err := s.Run(t.Context(), []models.Encoding{encoding(2, 4)}); !errors.Is(err, models.ErrOverloaded) {
		t.Errorf("without entering: got %v, want %v", err, models.ErrOverloaded)
	}
	if got := s.Stats().Refused; got != 2 {
		t.Errorf("%d were refused, want 2", got)
	}
	// Who has entered is not sent away any more, and entering again is nothing.
	run(entered, 3)
	again, leaveAgain := enter(entered)
	run(again, 4)
	leaveAgain()
	run(entered, 5)
	// What has to be done is not refused for the time that it takes.
	run(infer.Patient(t.Context()), 6)
	leave()
	leave()
	if got := s.Stats(); got.Requests != 0 || got.Bulk != 0 {
		t.Errorf("got %+v, want nothing left", got)
	}
	run(t.Context(), 7)
}

// TestEnterIsBounded: the queue counts those who have entered.
func TestEnterIsBounded(t *testing.T) {
	s := open(t, newTurnstile(), infer.Config{Workers: 1, Queue: 4})
	bulk := infer.WithPriority(t.Context(), infer.Bulk)
	for i, want := range []bool{true, true, false} {
		if _, _, err := s.Enter(bulk); (err == nil) != want {
			t.Errorf("bulk request %d: %v, taken is %v", i, err, want)
		}
	}
	for i, want := range []bool{true, true, false} {
		if _, _, err := s.Enter(t.Context()); (err == nil) != want {
			t.Errorf("interactive request %d: %v, taken is %v", i, err, want)
		}
	}
	if got := s.Stats(); got.Requests != 4 || got.Bulk != 2 || got.Refused != 2 {
		t.Errorf("got %+v, want 4 requests, 2 of them bulk, and 2 refused", got)
	}
}
