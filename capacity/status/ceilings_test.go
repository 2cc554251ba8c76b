package status

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

func TestCeilingsAreReadBack(t *testing.T) {
	for name, want := range map[string][3]*int64{
		"none": {}, "one": {nil, new(int64(3)), nil}, "zero is one": {new(int64(0)), nil, nil}, "all": {new(int64(1)), new(int64(2)), new(int64(3))},
	} {
		status := &v1alpha1.WarmPoolStatus{MaxNodes: MaxNodes([]capacity.Ceiling{{Limit: want[0]}, {Limit: want[1]}, {Limit: want[2]}})}
		if diff := cmp.Diff(want, Ceilings(status)); diff != "" || (status.MaxNodes == nil) != (name == "none") {
			t.Errorf("%s: %+v (-want +got):\n%s", name, status.MaxNodes, diff)
		}
	}
}
