package handler

import resourcev1 "k8s.io/api/resource/v1"

// SetDeviceClass adds or changes a DeviceClass.
func (x *Index) SetDeviceClass(class *resourcev1.DeviceClass) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.devices.SetClass(class)
	x.offerAll()
}

// DropDeviceClass removes a DeviceClass.
func (x *Index) DropDeviceClass(class *resourcev1.DeviceClass) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.devices.DropClass(class)
	x.offerAll()
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

func (x *Index) offerAll() {
	for _, e := range x.nodes {
		x.offer(e)
	}
}

func (x *Index) offerOn(names []string) {
	for _, name := range names {
		if e := x.nodes[name]; e != nil {
			x.offer(e)
		}
	}
}

func (x *Index) offer(e *nodeEntry) { e.Allocatable = x.devices.Offers(e.Name, e.offered) }
