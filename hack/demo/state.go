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

package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// conditions are those of an endpoint in an EndpointSlice: "true", "false", or "unset".
type conditions struct{ ready, serving, terminating string }

var (
	// alive is how an active and healthy endpoint is published.
	alive = conditions{"true", "true", "false"}
	// dead is how an active and unhealthy endpoint is published.
	dead = conditions{"false", "false", "false"}
)

func (c conditions) String() string {
	return fmt.Sprintf("ready=%s serving=%s terminating=%s", c.ready, c.serving, c.terminating)
}

func conditionsOf(c discoveryv1.EndpointConditions) conditions {
	text := func(value *bool) string {
		if value == nil {
			return "unset"
		}
		return strconv.FormatBool(*value)
	}
	return conditions{text(c.Ready), text(c.Serving), text(c.Terminating)}
}

// update is something that the API server has reported.
type update struct {
	at      time.Time
	object  client.Object
	deleted bool
}

// watch sends updates of ExternalServices, EndpointSlices and Events of the namespace until the
// context ends.
func watch(ctx context.Context, config *rest.Config) (<-chan update, error) {
	updates := make(chan update)
	informers, err := cache.New(config, cache.Options{
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		// What it would write to stderr would stand between the lines of the screen.
		DefaultWatchErrorHandler: func(context.Context, *toolscache.Reflector, error) {},
	})
	if err != nil {
		return nil, fmt.Errorf("watch the API server: %w", err)
	}
	send := func(object any, deleted bool) {
		if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = last.Obj
		}
		select {
		case updates <- update{at: time.Now(), object: object.(client.Object), deleted: deleted}:
		case <-ctx.Done():
		}
	}
	for _, kind := range []client.Object{&farpointv1.ExternalService{}, &discoveryv1.EndpointSlice{}, &eventsv1.Event{}} {
		informer, err := informers.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { send(object, false) },
			UpdateFunc: func(_, object any) { send(object, false) },
			DeleteFunc: func(object any) { send(object, true) },
		}); err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
	}
	go func() { _ = informers.Start(ctx) }() // it fails only if it is started twice
	return updates, nil
}

// state is what the API server has reported.
type state struct {
	// object is nil while there is no ExternalService.
	object *farpointv1.ExternalService
	// slices has the conditions by address of each slice of the Service.
	slices map[string]map[string]conditions
}

func newState() *state { return &state{slices: map[string]map[string]conditions{}} }

// change is a line about a change: where it was seen (backend, slice, event, extsvc or demo), and
// what it was.
type change struct{ source, text string }

// observe takes an update in and returns what it changed.
func (s *state) observe(update update) (changes []change) {
	switch object := update.object.(type) {
	case *farpointv1.ExternalService:
		if object.Name == name {
			return s.observeObject(object, update.deleted)
		}
	case *discoveryv1.EndpointSlice:
		return s.observeSlice(object, update.deleted)
	case *eventsv1.Event:
		if !update.deleted && object.Regarding.Name == name {
			return []change{{"event", fmt.Sprintf("%s %s: %s", object.Type, object.Reason, object.Note)}}
		}
	}
	return nil
}

func (s *state) observeObject(object *farpointv1.ExternalService, deleted bool) []change {
	before := s.columns()
	if s.object = object; deleted {
		s.object = nil
		return []change{{"extsvc", "deleted: the operator stops probing and removes what it wrote"}}
	}
	if after := s.columns(); after != before {
		return []change{{"extsvc", fmt.Sprintf("ENDPOINTS %s  AVAILABLE %s  READY %s", after[0], after[1], after[2])}}
	}
	return nil
}

// columns are what `kubectl get extsvc` prints below ENDPOINTS, AVAILABLE and READY.
func (s *state) columns() (columns [3]string) {
	if s.object == nil {
		return columns
	}
	columns[0] = s.object.Status.ReadyEndpoints
	for i, kind := range []string{farpointv1.AvailableCondition, farpointv1.ReadyCondition} {
		if condition := meta.FindStatusCondition(s.object.Status.Conditions, kind); condition != nil {
			columns[i+1] = string(condition.Status)
		}
	}
	return columns
}

// health is what the ExternalService's status says of an address, in one word.
func (s *state) health(address string) string {
	if s.object != nil {
		for _, endpoint := range s.object.Status.Endpoints {
			if endpoint.Address == address {
				return cmp.Or(endpoint.Reason, string(endpoint.Health))
			}
		}
	}
	return ""
}

func (s *state) observeSlice(slice *discoveryv1.EndpointSlice, deleted bool) (changes []change) {
	before, existed := s.slices[slice.Name]
	// A slice whose label somebody removed belongs to the Service no longer.
	if deleted || slice.Labels[discoveryv1.LabelServiceName] != name {
		delete(s.slices, slice.Name)
		if existed {
			changes = append(changes, change{"slice", fmt.Sprintf("EndpointSlice %s is gone", slice.Name)})
		}
		return changes
	}
	if !existed {
		changes = append(changes, change{"slice", fmt.Sprintf("EndpointSlice %s (%s) is new", slice.Name, slice.AddressType)})
	}
	after := map[string]conditions{}
	for _, endpoint := range slice.Endpoints {
		address, now := endpoint.Addresses[0], conditionsOf(endpoint.Conditions)
		if was, ok := before[address]; !ok || was != now {
			changes = append(changes, change{"slice", fmt.Sprintf("%s %s", address, now)})
		}
		after[address] = now
	}
	s.slices[slice.Name] = after
	return changes
}

// conditions returns the conditions of an address in the slices; false if none has it.
func (s *state) conditions(address string) (conditions, bool) {
	for _, slice := range s.slices {
		if published, ok := slice[address]; ok {
			return published, true
		}
	}
	return conditions{}, false
}
