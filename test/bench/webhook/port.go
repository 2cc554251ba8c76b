package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"forewarm.dev/test/bench/statistics"
	"forewarm.dev/test/bench/webhook/proc"
	"forewarm.dev/test/bench/webhook/serve"
)

const (
	// connections per webhook, each with one review at a time.
	connections = 2
	// countedReviews are asked for to count allocations.
	countedReviews = 2000
)

// portFigures are those of a subject, one value per round.
type portFigures struct {
	cpuMicros []float64
	perSecond []float64
	mallocs   float64
	rssMiB    float64
}

// asker asks one webhook about one review, over and over, on connections of its own.
type asker struct {
	subject subject
	request []byte
	conns   []*tls.Conn
	readers []*bufio.Reader
}

func newAsker(ctx context.Context, s subject, review []byte) (*asker, error) {
	a := &asker{subject: s}
	a.request = fmt.Appendf(nil, "POST %s?timeout=2s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kube-apiserver-admission\r\nContent-Type: application/json\r\nAccept: application/json, */*\r\nContent-Length: %d\r\n\r\n%s",
		s.path, s.hook.address, len(review), review)
	for range connections {
		dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}} //nolint:gosec // a process of our own on loopback
		conn, err := dialer.DialContext(ctx, "tcp", s.hook.address)
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", s.name, err)
		}
		a.conns = append(a.conns, conn.(*tls.Conn))
		a.readers = append(a.readers, bufio.NewReader(conn))
	}
	return a, nil
}

func (a *asker) close() {
	for _, conn := range a.conns {
		_ = conn.Close()
	}
}

// ask sends the review once on a connection and reads the answer.
func (a *asker) ask(connection int) error {
	if err := a.conns[connection].SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := a.conns[connection].Write(a.request); err != nil {
		return fmt.Errorf("ask %s: %w", a.subject.name, err)
	}
	response, err := http.ReadResponse(a.readers[connection], nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", a.subject.name, err)
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("ask %s: %w", a.subject.name, err)
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(a.subject.want)) {
		return fmt.Errorf("%s about %s: answer %s %s, want %s", a.subject.name, a.subject.asked, response.Status, answer, a.subject.want)
	}
	return nil
}

// many asks on all connections while more says so, and returns how often.
func (a *asker) many(ctx context.Context, more func(done int) bool) (int, error) {
	group, ctx := errgroup.WithContext(ctx)
	counts := make([]int, len(a.conns))
	for i := range a.conns {
		group.Go(func() error {
			for ; more(counts[i]) && ctx.Err() == nil; counts[i]++ {
				if err := a.ask(i); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum, err
}

func (a *asker) during(ctx context.Context, d time.Duration) (int, error) {
	end := time.Now().Add(d)
	return a.many(ctx, func(int) bool { return time.Now().Before(end) })
}

// round is one measurement of a subject.
func (a *asker) round(ctx context.Context, d time.Duration, f *portFigures) error {
	if _, err := a.during(ctx, d/10); err != nil {
		return err
	}
	before, err := proc.CPUSeconds(a.subject.hook.pid)
	if err != nil {
		return err
	}
	started := time.Now()
	n, err := a.during(ctx, d)
	if err != nil {
		return err
	}
	took := time.Since(started).Seconds()
	after, err := proc.CPUSeconds(a.subject.hook.pid)
	if err != nil {
		return err
	}
	f.cpuMicros = append(f.cpuMicros, (after-before)*1e6/float64(n))
	f.perSecond = append(f.perSecond, float64(n)/took)
	return nil
}

// mallocs counts the allocations of a review, without those of reading the counter.
func (a *asker) mallocs(ctx context.Context) (float64, error) {
	var counts [3]float64
	var err error
	for i := range counts {
		if i == 2 {
			if _, err := a.many(ctx, func(done int) bool { return done < countedReviews/connections }); err != nil {
				return 0, err
			}
		}
		if counts[i], err = a.subject.hook.figure(ctx, serve.Mallocs); err != nil {
			return 0, err
		}
	}
	return ((counts[2] - counts[1]) - (counts[1] - counts[0])) / countedReviews, nil
}

// measurePort asks every subject the same reviews, in a new order each round.
func (b *bench) measurePort(ctx context.Context) ([]portFigures, error) {
	subjects := b.subjects()
	figures := make([]portFigures, len(subjects))
	askers := make([]*asker, len(subjects))
	for i, s := range subjects {
		a, err := newAsker(ctx, s, b.reviews[s.asked])
		if err != nil {
			return nil, err
		}
		defer a.close()
		askers[i] = a
	}
	dice := rand.New(rand.NewPCG(1, 1))
	for round := range b.settings.rounds {
		for _, i := range dice.Perm(len(subjects)) {
			if err := askers[i].round(ctx, b.settings.portTime, &figures[i]); err != nil {
				return nil, err
			}
		}
		b.progress("bare port: round %d of %d; CPU per review so far: %s", round+1, b.settings.rounds, soFar(subjects, figures))
	}
	for i, a := range askers {
		var err error
		if figures[i].mallocs, err = a.mallocs(ctx); err != nil {
			return nil, err
		}
		if figures[i].rssMiB, err = proc.MemoryMiB(a.subject.hook.pid, "VmRSS"); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

func soFar(subjects []subject, figures []portFigures) string {
	var out []string
	for i, s := range subjects {
		out = append(out, fmt.Sprintf("%s %s %.0f µs", s.name, s.asked, statistics.Quantile(figures[i].cpuMicros, 0.5)))
	}
	return strings.Join(out, ", ")
}
