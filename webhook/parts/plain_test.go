package parts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded are reviews that an API server sent.
func recorded(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "handler", "testdata", "reviews", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded reviews: %v", err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		if out[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestPlain: nothing that an API server sends is left to the decoder, and it would have found the
// same.
func TestPlain(t *testing.T) {
	for name, body := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			got, ok := plainReview(body)
			if !ok {
				t.Fatal("the review is left to the decoder")
			}
			want, err := decodedReview(body)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
			for _, raw := range [][]byte{got.Request.Object.Raw, got.Request.OldObject.Raw} {
				if raw == nil {
					continue
				}
				got, ok := plainObject(raw)
				if !ok {
					t.Fatalf("left to the decoder: %s", raw)
				}
				want, err := decoded(raw, "object")
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Error(err, diff)
				}
			}
		})
	}
}

// TestPlainLeaves: what may mean something else than it seems to is left to the decoder.
func TestPlainLeaves(t *testing.T) {
	for _, review := range []string{
		`{"request":{"\u0075id":"u"}}`, `{"request":{"UID":"u"}}`, `{"request":{"uid":"\u0075"}}`, `{"request":{"uid":null}}`, `{"request":{"uid":"é"}}`, `{"Request":{}}`, `{"request":null}`,
		`{"request":{"userInfo":{"groups":["a" "b"]}}}`, `{"request":{"userInfo":{"groups":["a",]}}}`, `{"request":{"dryRun":"true"}}`, `{"request":{"dryRun":null}}`, `{"request":{}} x`,
		`{"request":{"object":{}},"request":{}}`,
	} {
		if _, ok := plainReview([]byte(review)); ok {
			t.Errorf("%s is not left to the decoder", review)
		}
	}
	for _, object := range []string{
		`{"sp\u0065c":{}}`, `{"spec":{"repl\u0069cas":1}}`, `{"spec":{"replicas":-1}}`, `{"spec":{"replicas":1.5}}`, `{"spec":{"replicas":1e3}}`, `{"spec":{"replicas":01}}`, `{"spec":{"replicas":null}}`,
		`{"spec":{"replicas":"1"}}`, `{"spec":{"replicas":9999999999999999999}}`, `{"spec":null}`, `{"metadata":{"annotations":{"a":1}}}`, `{"metadata":{"annotations":{"\u0061":"b"}}}`, `{} {}`, `[]`,
	} {
		if _, ok := plainObject([]byte(object)); ok {
			t.Errorf("%s is not left to the decoder", object)
		}
	}
}

// FuzzPlain: what is read without the decoder is what it would have found.
func FuzzPlain(f *testing.F) {
	for _, body := range recorded(f) {
		f.Add(string(body))
	}
	for _, seed := range []string{
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","dryRun":true,"object":null,"userInfo":{"groups":[],"extra":{"a":["b","c"],"d":[]}}}}`,
		`{"request":{"kind":{"kind":"A"},"kind":{"group":"b"},"object":{"a":1},"object":null,"userInfo":{"groups":["a"],"groups":[ "b" , "c" ]}}}`,
		`{"request":{"object":{"a":1},"oldObject":{"a":1}},"request":{"name":"n"}}`,
		`{"metadata":{"annotations":{"a":"\"\u00e9","b":""},"annotations":{"c":"d"},"ownerReferences":[{"controller":true}],"name":"n"},"metadata":{"uid":"u"},"spec":{"replicas":0},"spec":{}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		body := []byte(strings.TrimSpace(raw))
		if got, ok := plainReview(body); ok && got.Request != nil {
			want, err := decodedReview(body)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%q: %v\n%s", raw, err, diff)
			}
			body = got.Request.Object.Raw
		}
		if got, ok := plainObject(body); ok {
			want, err := decoded(body, "object")
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%q: %v\n%s", body, err, diff)
			}
		}
	})
}
