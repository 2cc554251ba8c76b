package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// m4Files writes two series that repeat their days, and the two days after them.
func m4Files(t *testing.T) (train, test string) {
	t.Helper()
	folder := t.TempDir()
	write := func(name string, from, to int) string {
		var text strings.Builder
		text.WriteString("V1,V2\n")
		for series := range 2 {
			fmt.Fprintf(&text, "H%d", series+1)
			for i := from; i < to; i++ {
				fmt.Fprintf(&text, ",%d", 100+20*series+(i%24)*(1+(i/24)%2))
			}
			text.WriteString("\n")
		}
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("train.csv", 0, 720), write("test.csv", 720, 768)
}

func TestM4(t *testing.T) {
	train, test := m4Files(t)
	for name, use := range map[string]string{"Official": test, "Validation": ""} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := runM4(train, use, &out); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"seasonal-naive", "naive2", "combined", "forewarm", `RESULT {"series":2,"test":"` + name + `"`, `"snaive_mase":0.5,`} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestM4RefusesFilesThatDoNotFit(t *testing.T) {
	train, test := m4Files(t)
	if err := runM4(train, train, &strings.Builder{}); err == nil {
		t.Error("a test file of 720 values was accepted")
	}
	if err := runM4(filepath.Join(t.TempDir(), "none.csv"), "", &strings.Builder{}); err == nil {
		t.Error("a file that is not there was accepted")
	}
	if err := runM4(test, "", &strings.Builder{}); err == nil {
		t.Error("a history of no value was accepted")
	}
}
