package handler

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata/*.txtar")

// TestWire holds the bodies of the protocol to testdata/*.txtar, byte for byte but for
// spaces: a comment, then the request's body in a file named by the verb, then the answer's
// status and body in "want". The cluster is that of func cluster.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) != 2 || archive.Files[1].Name != "want" {
				t.Fatal("write the request in a file named by its verb, then the file want")
			}
			request := httptest.NewRequest(http.MethodPost, "/"+archive.Files[0].Name, bytes.NewReader(archive.Files[0].Data))
			request.Header.Set("Content-Type", "application/json")
			recorder := httptest.NewRecorder()
			serve(cluster()).ServeHTTP(recorder, request)
			got := http.StatusText(recorder.Code) + "\n" + indented(recorder.Body.Bytes())
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("answer (-want +got), -update rewrites it:\n%s", diff)
			}
		})
	}
}

// indented is JSON with line breaks, and anything else as it is.
func indented(body []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(body), "", " "); err != nil {
		return string(body)
	}
	return b.String() + "\n"
}
