package clock

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestThisGo: time.Now of the Go that builds is one that can be made to jump.
func TestThisGo(t *testing.T) {
	folder, err := library(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch(string(source))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(patched, "jumpedNow") != 1 {
		t.Error("time.Now does not look at the jump")
	}
	if _, err := patch("func Now() Time {}"); err == nil {
		t.Error("another time.Now was taken for this one")
	}
}

func TestSet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	for _, ahead := range []time.Duration{time.Hour, -26 * time.Hour, 0} {
		if err := Set(path, ahead); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := time.ParseDuration(string(text)); err != nil || got != ahead {
			t.Errorf("set %s, the file says %q", ahead, text)
		}
	}
}
