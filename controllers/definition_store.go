/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/references"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes"
)

// definitions keeps the health checks by which the endpoints of each ExternalService are probed.
type definitions struct {
	live client.Reader
	// cadence says when the Secrets and ConfigMaps that they refer to are read.
	cadence references.Cadence
	// mu guards what follows. Nothing waits while holding it.
	mu  sync.Mutex
	all map[probes.Owner]*knownDefinitions
}

// knownDefinitions are the definitions of one ExternalService and what they refer to. Only its
// reconcile uses them.
type knownDefinitions struct {
	targets.History
	uid        types.UID
	references references.Set
	departures targets.Departures
}

func newDefinitions(live client.Reader, cadence references.Cadence) *definitions {
	return &definitions{live: live, cadence: cadence, all: map[probes.Owner]*knownDefinitions{}}
}

// update returns the definitions of an object, brought up to its present generation. It starts
// from nothing if the object was created again.
func (d *definitions) update(ctx context.Context, object *farpointv1.ExternalService, now time.Time) *knownDefinitions {
	known := d.of(probes.Owner{Namespace: object.Namespace, Name: object.Name}, object.UID)
	reader := references.Reader{Live: d.live, Namespace: object.Namespace}
	known.Update(object, func(check *farpointv1.HealthCheck, edited bool) (targets.Certificates, targets.Login) {
		known.references.Read(ctx, reader, check, now, d.cadence, edited)
		return known.references.Inputs(check, now, d.cadence)
	})
	known.references.Retain(known.Checks())
	return known
}

func (d *definitions) of(owner probes.Owner, uid types.UID) *knownDefinitions {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.all[owner]
	if known == nil || known.uid != uid {
		known = &knownDefinitions{uid: uid, references: references.Set{}}
		d.all[owner] = known
	}
	return known
}

// forget is called for an object that is gone.
func (d *definitions) forget(owner probes.Owner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, owner)
}
