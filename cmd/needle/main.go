// Command needle answers questions from your own documents: it indexes files,
// serves the search API and evaluates itself. Run needle without arguments for
// the list of commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRootCommand().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "needle: interrupted; what was acknowledged is kept, and running the command again goes on from there")
		return 130
	}
	fmt.Fprintln(os.Stderr, "needle: "+strings.TrimSpace(err.Error()))
	return 1
}
