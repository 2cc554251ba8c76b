package observe

import (
	"bytes"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"forewarm.dev/internal/config"
)

func TestParseFlags(t *testing.T) {
	var out bytes.Buffer
	flags, err := ParseFlags("reserver", "reserver keeps capacity warm.", []string{"--config=c.yaml", "--kubeconfig", "k", "-v", "4"}, &out)
	if err != nil || flags != (Flags{Config: "c.yaml", Kubeconfig: "k", Verbosity: 4}) {
		t.Errorf("flags %+v, error %v", flags, err)
	}
	_, err = ParseFlags("reserver", "reserver keeps capacity warm.", []string{"--help"}, &out)
	if !errors.Is(err, pflag.ErrHelp) || !strings.Contains(out.String(), "keeps capacity warm") || !strings.Contains(out.String(), "--kubeconfig") {
		t.Errorf("help: error %v, text:\n%s", err, out.String())
	}
	if _, err = ParseFlags("reserver", "", []string{"run"}, &out); err == nil || !strings.Contains(err.Error(), `"run"`) {
		t.Errorf("an argument: error %v", err)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address := listener.Addr().String()
	if err := CheckFree("healthAddress", address); err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "healthAddress") {
		t.Errorf("a busy port: error %v", err)
	}
	for _, nothing := range []string{"", "0"} {
		if err := CheckFree("healthAddress", nothing); err != nil {
			t.Errorf("address %q: %v", nothing, err)
		}
	}
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	if _, err := RESTConfig(missing); err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "--kubeconfig") {
		t.Errorf("a missing kubeconfig: error %v", err)
	}
	if _, err := Manager(t.Context(), ManagerOptions{Kubeconfig: missing, Process: config.Process{}}); err == nil {
		t.Error("a manager without a kubeconfig")
	}
}
