package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"unsafe"

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

// TestScoresAreWhatIsAboveTheLowest: the scheduler adds zero to a node that is not named.
func TestScoresAreWhatIsAboveTheLowest(t *testing.T) {
	names := []string{"a", "b", `c"`}
	for _, test := range []struct {
		scores []int64
		want   string
	}{
		{[]int64{1, 10, 8}, `[{"Host":"b","Score":9},{"Host":"c\"","Score":7}]`},
		{[]int64{0, 0, 3}, `[{"Host":"c\"","Score":3}]`},
		{[]int64{2, 2, 2}, `[]`},
		{nil, `[]`},
	} {
		if got := string(AppendScores(nil, names[:len(test.scores)], test.scores)); got != test.want {
			t.Errorf("scores %v: %s, want %s", test.scores, got, test.want)
		}
	}
}

// TestKnownNamesAreNotMadeAnew: those of nodes that are there have one string, and others are read as well.
func TestKnownNamesAreNotMadeAnew(t *testing.T) {
	var names Names
	known := strings.Clone("known")
	names.Add(known)
	names.Add("gone")
	names.Remove("gone")
	body := []byte(`{"Pod":{"metadata":{"name":"p"}},"Nodes":null,"NodeNames":["known","gone","never"]}`)
	nodes, err := names.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"known", "gone", "never"}, nodes.Names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if unsafe.StringData(nodes.Names[0]) != unsafe.StringData(known) {
		t.Error("the name of a known node is made anew")
	}
}
