package relay

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"
)

// echo is a server that answers each line with its name and the line.
func echo(t *testing.T, name string) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				for lines := bufio.NewScanner(connection); lines.Scan(); {
					fmt.Fprintf(connection, "%s %s\n", name, lines.Text())
				}
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

// client is one connection through a relay.
type client struct {
	net.Conn
	lines *bufio.Scanner
}

func dial(t *testing.T, r *Relay) client {
	t.Helper()
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.Port()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return client{connection, bufio.NewScanner(connection)}
}

// ask is empty where the connection has ended.
func (c client) ask(text string) string {
	if _, err := fmt.Fprintln(c, text); err != nil || !c.lines.Scan() {
		return ""
	}
	return c.lines.Text()
}

func TestRelay(t *testing.T) {
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	one, two := echo(t, "one"), echo(t, "two")
	r.SetPorts(one, two)

	first, second := dial(t, r), dial(t, r)
	if got := map[string]bool{first.ask("a"): true, second.ask("a"): true}; !got["one a"] || !got["two a"] {
		t.Errorf("two connections were led to %v, want each server once", got)
	}
	r.Remove(one)
	if got := dial(t, r).ask("b"); got != "two b" || r.Has(one) || !r.Has(two) {
		t.Errorf("with one server left: %q", got)
	}
	if got := first.ask("c"); got == "" {
		t.Error("a connection ended with its server's turn")
	}

	r.Cut()
	if got := first.ask("d"); got != "" {
		t.Errorf("after a cut: %q", got)
	}
	if got := dial(t, r).ask("e"); got != "two e" {
		t.Errorf("a new connection after a cut: %q", got)
	}

	r.Refuse()
	if got := dial(t, r).ask("f"); got != "" {
		t.Errorf("refused, and answered %q", got)
	}
	r.Pass()
	if got := dial(t, r).ask("g"); got != "two g" {
		t.Errorf("after refusing: %q", got)
	}
	if r.Taken() < 6 {
		t.Errorf("%d connections taken", r.Taken())
	}
}

func TestSlow(t *testing.T) {
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.SetPorts(echo(t, "one"))
	c := dial(t, r)

	r.Delay(50 * time.Millisecond)
	started := time.Now()
	if got := c.ask("a"); got != "one a" || time.Since(started) < 100*time.Millisecond {
		t.Errorf("delayed there and back: %q after %s", got, time.Since(started))
	}
	r.Pass()

	r.Hold()
	r.Hold() // once more changes nothing
	answered := make(chan string, 1)
	go func() { answered <- c.ask("b") }()
	select {
	case got := <-answered:
		t.Errorf("held up, and answered %q", got)
	case <-time.After(100 * time.Millisecond):
	}
	r.Pass()
	if got := <-answered; got != "one b" {
		t.Errorf("let go: %q", got)
	}
}

func TestFollow(t *testing.T) {
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	answers, done, returned := make(chan bool), make(chan struct{}), make(chan struct{})
	go func() {
		r.Follow(7, time.Millisecond, func() bool { return <-answers }, done)
		close(returned)
	}()
	for _, ready := range []bool{true, false, true} {
		answers <- ready
		answers <- ready // asked again: the first answer has been taken
		if r.Has(7) != ready {
			t.Errorf("ready %t, gets connections %t", ready, r.Has(7))
		}
	}
	close(done)
	close(answers)
	<-returned
	if r.Has(7) {
		t.Error("one that has gone gets connections")
	}
}
