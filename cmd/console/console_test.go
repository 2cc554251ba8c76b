package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/util/cert"
)

// asConsole has the test's binary be the console.
const asConsole = "FOREWARM_TEST_AS_CONSOLE"

func TestMain(m *testing.M) {
	if os.Getenv(asConsole) != "" {
		main()
	}
	os.Exit(m.Run())
}

// patience bounds what takes a second on an idle machine.
const patience = time.Minute

// running is a process that runs.
type running struct {
	command         *exec.Cmd
	address, health string
	browser         *http.Client
	trusted         *x509.CertPool
	files           string

	mu  sync.Mutex
	log strings.Builder
}

// Write keeps what the process says.
func (c *running) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(text)
}

func (c *running) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// write replaces a file as a kubelet does: it is never half there.
func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// certify writes a new certificate, which the browser trusts too.
func (c *running) certify(t *testing.T) {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.trusted.AppendCertsFromPEM(certificate)
	write(t, filepath.Join(c.files, "tls.key"), key)
	write(t, filepath.Join(c.files, "tls.crt"), certificate)
}

// command is the console with a configuration; extra flags come last.
func command(t *testing.T, configuration string, flags ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, []byte("apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\n"+configuration))
	c := exec.CommandContext(t.Context(), os.Args[0], append([]string{"--config", path}, flags...)...)
	c.Env = append(os.Environ(), asConsole+"=1", "KUBECONFIG=")
	return c
}

// start runs the console, and waits until it is ready.
func start(t *testing.T, kubeconfig string) *running {
	t.Helper()
	c := &running{address: freeAddress(t), health: freeAddress(t), trusted: x509.NewCertPool(), files: t.TempDir()}
	c.certify(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.browser = &http.Client{
		Jar: jar, Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.trusted}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.command = command(t, fmt.Sprintf("console: {address: %q, healthAddress: %q, metricsAddress: %q, serving: {certFile: %s/tls.crt, keyFile: %s/tls.key}}\n",
		c.address, c.health, freeAddress(t), c.files, c.files), "--kubeconfig", kubeconfig)
	c.command.Stderr = c
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.command.Process.Kill(); _ = c.command.Wait() })
	c.eventually(t, "is not ready", func() bool { return c.probe("/readyz") == http.StatusOK })
	return c
}

func (c *running) eventually(t *testing.T, otherwise string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the console %s; its log:\n%s", otherwise, c.said())
		}
	}
}

// probe is what a kubelet would get; 0 where nobody answers.
func (c *running) probe(path string) int {
	response, err := http.Get("http://" + c.health + path)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// get answers the status, the body, and the serial number of the certificate.
func (c *running) get(path string) (status int, body, serial string, err error) {
	response, err := c.browser.Get("https://" + c.address + path)
	if err != nil {
		return 0, "", "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), response.TLS.PeerCertificates[0].SerialNumber.String(), err
}

func (c *running) signIn(token string) (int, error) {
	response, err := c.browser.PostForm("https://"+c.address+"/signin", url.Values{"token": {token}})
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// TestProcess: the console as it is shipped, from its first probe to its end.
func TestProcess(t *testing.T) {
	api := newAPIServer(t)
	c := start(t, api.kubeconfig(t))
	if status := c.probe("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	if status, err := c.signIn("of-alice"); status != http.StatusSeeOther {
		t.Fatalf("sign in: %d, %v; its log:\n%s", status, err, c.said())
	}
	status, body, serial, err := c.get("/pools")
	if status != http.StatusOK || !strings.Contains(body, "a100") || !strings.Contains(body, "alice") {
		t.Fatalf("/pools: %d, %v\n%s", status, err, body)
	}
	t.Run("a new certificate is served without a restart", func(t *testing.T) {
		c.certify(t)
		c.eventually(t, "does not serve the new certificate", func() bool {
			status, _, now, err := c.get("/signin")
			if err != nil || status != http.StatusSeeOther {
				t.Fatalf("while the certificate is replaced: %d, %v", status, err)
			}
			return now != serial
		})
	})
	t.Run("at its end it finishes what is under way", func(t *testing.T) { ends(t, api, c) })
	if log := c.said(); strings.Contains(log, "of-alice") || strings.Contains(log, "of-bob") {
		t.Errorf("it logged a token:\n%s", log)
	}
}

// ends: a sign-in that waits for the API server is answered, a page that listens is let go, and the process
// ends well.
func ends(t *testing.T, api *apiServer, c *running) {
	listens, err := c.browser.Get("https://" + c.address + "/live?topic=pools")
	if err != nil || listens.StatusCode != http.StatusOK {
		t.Fatalf("/live: %v, %v", listens, err)
	}
	defer func() { _ = listens.Body.Close() }()
	release := api.hold()
	answered := make(chan error, 1)
	go func() {
		status, err := c.signIn("of-bob") // the cluster's word on alice is remembered
		if err == nil && status != http.StatusSeeOther {
			err = fmt.Errorf("status %d", status)
		}
		answered <- err
	}()
	<-api.held
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.eventually(t, "is still ready", func() bool { return c.probe("/readyz") != http.StatusOK })
	c.eventually(t, "takes new connections", func() bool {
		conn, err := net.Dial("tcp", c.address)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	release()
	if err := <-answered; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if _, err := io.Copy(io.Discard, bufio.NewReader(listens.Body)); err != nil {
		t.Errorf("the page that listens: %v", err)
	}
	if err := c.command.Wait(); err != nil {
		t.Errorf("%v; its log:\n%s", err, c.said())
	}
}

// TestWhatIsWrongIsNamed: by the flag, or the field of the configuration file, and with what to do.
func TestWhatIsWrongIsNamed(t *testing.T) {
	api := newAPIServer(t)
	kubeconfig := api.kubeconfig(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	anywhere := fmt.Sprintf("healthAddress: %q, metricsAddress: %q", freeAddress(t), freeAddress(t))
	for name, c := range map[string]struct {
		configuration string
		flags         []string
		want          []string
	}{
		"a flag":             {"", []string{"--nope"}, []string{"unknown flag: --nope"}},
		"an argument":        {"", []string{"now"}, []string{`unexpected argument "now"`, "--help"}},
		"no such file":       {"", []string{"--config=/no/such/file"}, []string{"/no/such/file", "--config"}},
		"a field":            {"console: {addresses: ':1'}\n", nil, []string{`unknown field "console.addresses"`}},
		"an address":         {"console: {address: localhost}\n", nil, []string{"console.address", "host:port"}},
		"a duration":         {"console: {idleTimeout: 1s}\n", nil, []string{"console.idleTimeout", "from 1m to sessionLifetime"}},
		"a lifetime":         {"console: {sessionLifetime: 1000h}\n", nil, []string{"console.sessionLifetime", "1m to 168h"}},
		"sessions":           {"console: {maxSessions: 0}\n", nil, []string{"console.maxSessions", "1 to 10000"}},
		"half a certificate": {"console: {serving: {certFile: /a}}\n", nil, []string{"console.serving.keyFile", "absolute path"}},
		"no certificate": {
			fmt.Sprintf("console: {address: %q, %s, serving: {certFile: /no/such.crt, keyFile: /no/such.key}}\n", freeAddress(t), anywhere),
			[]string{"--kubeconfig", kubeconfig},
			[]string{"console.serving", "/no/such.crt"},
		},
		"a busy port":        {fmt.Sprintf("console: {address: %q, %s}\n", busy.Addr(), anywhere), []string{"--kubeconfig", kubeconfig}, []string{"console.address", busy.Addr().String(), "in use"}},
		"a busy health port": {fmt.Sprintf("console: {address: %q, healthAddress: %q, metricsAddress: %q}\n", freeAddress(t), busy.Addr(), freeAddress(t)), []string{"--kubeconfig", kubeconfig}, []string{"healthAddress", busy.Addr().String(), "in use"}},
		"no kubeconfig":      {"", []string{"--kubeconfig=/no/such/kubeconfig"}, []string{"/no/such/kubeconfig", "--kubeconfig"}},
		"no API server":      {fmt.Sprintf("console: {address: %q, %s}\n", freeAddress(t), anywhere), []string{"--kubeconfig", kubeconfigFor(t, "http://"+freeAddress(t))}, []string{"reach the API server", "--kubeconfig"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			process := command(t, c.configuration, c.flags...)
			var says strings.Builder
			process.Stderr = &says
			stop := context.AfterFunc(ctx, func() { _ = process.Process.Kill() })
			defer stop()
			failed, is := errors.AsType[*exec.ExitError](process.Run())
			if !is || failed.ExitCode() != 1 {
				t.Fatalf("it ended with %v, want exit code 1; it said:\n%s", failed, says.String())
			}
			for _, want := range c.want {
				if !strings.Contains(says.String(), want) {
					t.Errorf("it does not mention %q:\n%s", want, says.String())
				}
			}
		})
	}
}

func TestHelp(t *testing.T) {
	out, err := command(t, "", "--help").Output()
	if err != nil || !strings.Contains(string(out), "People sign in with a token of the cluster") || !strings.Contains(string(out), "--config") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestOwnCertificate: one for all handshakes, until half of its time is over.
func TestOwnCertificate(t *testing.T) {
	now := time.Now()
	own := &selfSigned{now: func() time.Time { return now }}
	serial := func() string {
		pair, err := own.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if left := leaf.NotAfter.Sub(now); left < renewAfter {
			t.Errorf("it is valid for %s more", left)
		}
		return leaf.SerialNumber.String()
	}
	first := serial()
	now = now.Add(renewAfter - time.Hour)
	if again := serial(); again != first {
		t.Error("another certificate before its time")
	}
	now = now.Add(time.Hour)
	if again := serial(); again == first {
		t.Error("the same certificate for ever")
	}
}
