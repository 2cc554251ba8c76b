package handler

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkPod reviews a pod of a usual size.
func BenchmarkPod(b *testing.B) {
	w := podWorld(b)
	body := podReview([]byte(`{"metadata":{"generateName":"train-","labels":{"a":"b"},"managedFields":[` + strings.Repeat(`{"fieldsV1":{"f:spec":{"f:containers":{}}}},`, 20) + `{}]},"spec":{"containers":[{"name":"c","image":"registry.example.com/shop/main:1","env":[` +
		strings.Repeat(`{"name":"SHOP_SETTING","value":"https://backend.shop.svc"},`, 40) + `{"name":"LAST","value":"1"}],"resources":{"limits":{"nvidia.com/gpu":"2"},"requests":{"nvidia.com/gpu":"2","cpu":"1"}}}]}}`))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if response := post(w.pods, body); response.Code != http.StatusOK || !strings.Contains(response.Body.String(), `"JSONPatch"`) {
			b.Fatal(response.Body.String())
		}
	}
}

// BenchmarkDeployment reviews the growth of a Deployment of a usual size.
func BenchmarkDeployment(b *testing.B) {
	w := newWorld(b, team(ceilingOf("100")))
	object := func(replicas int) string {
		container := `{"name":"c","image":"registry.example.com/shop/main:1","env":[` + strings.Repeat(`{"name":"SHOP_SETTING","value":"https://backend.shop.svc"},`, 40) + `{"name":"LAST","value":"1"}]}`
		managed := `{"manager":"kubectl","operation":"Update","fieldsV1":{` + strings.Repeat(`"f:spec":{"f:replicas":{},"f:template":{}},`, 40) + `"f:last":{}}}`
		return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"team","uid":"u-1","resourceVersion":"7","annotations":{"forewarm.dev/max-replicas":"50"},"managedFields":[%s]},`+
			`"spec":{"replicas":%d,"template":{"spec":{"containers":[%s]}}}}`, managed, replicas, container)
	}
	body := deploymentReview("UPDATE", object(4), object(3))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if response := post(w.ceilings, body); response.Code != http.StatusOK || !strings.Contains(response.Body.String(), `"allowed":true`) {
			b.Fatal(response.Body.String())
		}
	}
}
