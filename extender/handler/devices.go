package handler

import (
	"maps"

	resourcev1 "k8s.io/api/resource/v1"
)

// SetDeviceClass adds or changes a DeviceClass.
func (x *Index) SetDeviceClass(class *resourcev1.DeviceClass) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.devices.SetClass(class)
	x.reclassed()
}

// DropDeviceClass removes a DeviceClass.
func (x *Index) DropDeviceClass(class *resourcev1.DeviceClass) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.devices.DropClass(class)
	x.reclassed()
}

// SetSlice adds or changes a ResourceSlice.
func (x *Index) SetSlice(slice *resourcev1.ResourceSlice) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.offerOn(x.devices.SetSlice(slice))
}

// DropSlice removes a ResourceSlice.
func (x *Index) DropSlice(slice *resourcev1.ResourceSlice) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.offerOn(x.devices.DropSlice(slice))
}

// SetTemplate adds or changes a ResourceClaimTemplate.
func (x *Index) SetTemplate(template *resourcev1.ResourceClaimTemplate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.devices.SetTemplate(template)
}

// DropTemplate removes a ResourceClaimTemplate.
func (x *Index) DropTemplate(template *resourcev1.ResourceClaimTemplate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.devices.DropTemplate(template)
}

// SetClaim adds or changes a ResourceClaim.
func (x *Index) SetClaim(claim *resourcev1.ResourceClaim) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.offerOn(x.devices.SetClaim(claim))
}

// DropClaim removes a ResourceClaim.
func (x *Index) DropClaim(claim *resourcev1.ResourceClaim) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.offerOn(x.devices.DropClaim(claim))
}

// reclassed counts again what depends on the DeviceClasses: what is offered, what is held of pools, and
// what pods ask for by the implicit names of classes.
func (x *Index) reclassed() {
	for _, e := range x.nodes {
		x.offer(e)
	}
	for uid, pod := range x.pods {
		if pod.implicit != nil {
			x.count(uid, pod, -1)
			pod.requests = x.devices.Counted(maps.Clone(pod.implicit))
			x.pods[uid] = pod
			x.count(uid, pod, 1)
		}
	}
	x.compile(false)
}

func (x *Index) offerOn(names []string) {
	for _, name := range names {
		if e := x.nodes[name]; e != nil {
			x.offer(e)
		}
	}
}

func (x *Index) offer(e *nodeEntry) { e.Allocatable = x.devices.Offers(e.Name, e.offered) }
