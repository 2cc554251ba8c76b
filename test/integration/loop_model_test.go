package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// loopModel: a forecast is made by the champion of the chunk's ForecastModel, and by the
// version that an admin writes from the next cycle on.
func loopModel(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	model := &v1alpha1.ForecastModel{ObjectMeta: metav1.ObjectMeta{Name: loopName + ".single"}}
	forecastBy := func(version int64) {
		t.Helper()
		started := time.Now()
		cluster.Eventually(t, loopWait, func() error {
			_, chunk, err := e.status(ctx, loopName)
			if err == nil && (chunk.Forecast == nil || chunk.Forecast.Version != version) {
				err = fmt.Errorf("forecast %+v, want version %d", chunk.Forecast, version)
			}
			return err
		})
		t.Logf("version %d after %s, while a cycle is %s", version, time.Since(started).Round(10*time.Millisecond), time.Second)
	}
	pin := func(body string) error {
		return e.Client.Patch(ctx, model, client.RawPatch(types.MergePatchType, []byte(body)))
	}
	forecastBy(1)
	if err := e.Client.Get(ctx, client.ObjectKeyFromObject(model), model); err != nil {
		t.Fatal(err)
	}
	if owners := model.OwnerReferences; len(owners) != 1 || owners[0].Kind != "WarmPool" || owners[0].Name != loopName {
		t.Errorf("owners %v, want the WarmPool, so that the versions go with it", owners)
	}
	if err := pin(`{"spec":{"version":5}}`); err == nil || !strings.Contains(err.Error(), "spec.version must be the number of one of status.versions") {
		t.Errorf("a version that does not exist: %v", err)
	}
	// As if a retraining had promoted it.
	second := model.Status.Versions[0]
	second.Number, second.Model, second.Outcome, second.Reason, second.Against = 2, "Combined", "Promoted", "Better", 1
	model.Status.Versions = append(model.Status.Versions, second)
	model.Status.Champion = 2
	if err := e.Client.Status().Update(ctx, model); err != nil {
		t.Fatal(err)
	}
	forecastBy(2)
	if err := pin(`{"spec":{"version":1}}`); err != nil {
		t.Fatal(err)
	}
	forecastBy(1)
	if err := pin(`{"spec":{"version":null}}`); err != nil {
		t.Fatal(err)
	}
	forecastBy(2)
}
