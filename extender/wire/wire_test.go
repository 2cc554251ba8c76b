package wire

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FuzzShortWay holds that what is cut is what decoding as JSON says.
func FuzzShortWay(f *testing.F) {
	names := []string{"a", "b"}
	body, err := json.Marshal(map[string]any{"Pod": &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "p"}}, "NodeNames": names})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"Pod":{"a":"}\"{"},"Nodes":null,"NodeNames":["a","b","a"]}`))
	f.Add([]byte(`{"Pod":{},"Nodes":null,"NodeNames":[]}` + "\n"))
	f.Add([]byte(`{"Pod":{},"Nodes":null,"NodeNames":["a"],"Pod":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, _, short := cut(body); !short {
			return
		}
		plain := func(b []byte) string { return string(b) }
		got, err := DecodeNodes(body, plain)
		// A space in front makes any body go the long way.
		want, wantErr := DecodeNodes(append([]byte(" "), body...), plain)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: error %v, by JSON %v", body, err, wantErr)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(want.Names, got.Names); diff != "" {
			t.Errorf("%q: names (-JSON +short):\n%s", body, diff)
		}
		if diff := cmp.Diff(want.Pod.ObjectMeta, got.Pod.ObjectMeta); diff != "" {
			t.Errorf("%q: pod (-JSON +short):\n%s", body, diff)
		}
	})
}
