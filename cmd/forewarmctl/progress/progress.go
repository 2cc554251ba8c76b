// Package progress tells a person what a command is at, once it takes long.
package progress

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Every is how long nothing is told.
const Every = 2 * time.Second

type key struct{}

// Into has what a command is at handed to hear.
func Into(ctx context.Context, hear func(at string)) context.Context {
	return context.WithValue(ctx, key{}, hear)
}

// At says what the command is at now; nothing is told of what is empty.
func At(ctx context.Context, format string, args ...any) {
	if hear, ok := ctx.Value(key{}).(func(string)); ok {
		hear(fmt.Sprintf(format, args...))
	}
}

// Start tells out, each two seconds until stop, what the command is at: first that it is at what.
func Start(ctx context.Context, out io.Writer, what string) (told context.Context, stop func()) {
	var at atomic.Value
	at.Store(what)
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(Every)
		defer ticker.Stop()
		began := time.Now()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
				if says := at.Load().(string); says != "" {
					_, _ = fmt.Fprintf(out, "[%3.0f s] %s\n", time.Since(began).Seconds(), says)
				}
			}
		}
	}()
	return Into(ctx, func(says string) { at.Store(says) }), sync.OnceFunc(func() { close(ended); <-stopped })
}
