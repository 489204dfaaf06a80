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
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/ownwrites"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/telemetry"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/effort"
	"farpoint.dev/farpoint/test/fixtures"
)

func applierOn(c client.Client) testApplier {
	return testApplier{slicesApplier{client: c, live: c, own: ownwrites.New(clock.RealClock{}), writes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "writes"}, []string{"operation"}), counters: telemetry.NewObjectCounters()}}
}

// testApplier applies plans of which only the errors matter.
type testApplier struct{ slicesApplier }

func (a testApplier) apply(ctx context.Context, owner *farpointv1.ExternalService, plan sliceplan.Plan) error {
	done := a.slicesApplier.apply(ctx, owner, nil, plan)
	return done.err()
}

func written(t *testing.T, c client.Client) []*discoveryv1.EndpointSlice {
	t.Helper()
	list := &discoveryv1.EndpointSliceList{}
	if err := c.List(context.Background(), list); err != nil {
		t.Fatal(err)
	}
	all := make([]*discoveryv1.EndpointSlice, len(list.Items))
	for i := range list.Items {
		all[i] = &list.Items[i]
	}
	return all
}

// The cache shows the state of a hundred reconciles ago. A reconcile sees its own writes (see
// ownwrites); this is about what happens if it does not.
func TestApply_StaleCache_CreatesNoDuplicates(t *testing.T) {
	behind, reconciles := effort.Rounds(100, 20), effort.Rounds(200, 40)
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).Build()
	applier := applierOn(c)
	wants := fixtures.Wants(fixtures.Numbered(50))
	wants.MaxEndpoints = 20
	random := rand.New(rand.NewPCG(1, 1))
	views := make([][]*discoveryv1.EndpointSlice, behind)
	for range reconciles {
		flipped := &wants.Endpoints[random.IntN(50)]
		flipped.Health = health.New(health.State(1 + random.IntN(2)))
		view := views[0]
		if err := applier.apply(t.Context(), wants.Owner, sliceplan.Make(wants, view)); err != nil && !conflictsOnly(err) {
			t.Fatal(err)
		}
		now := written(t, c)
		if len(now) != 3 {
			t.Fatalf("there are %d slices, want 3", len(now))
		}
		fixtures.Held(t, now, 20) // fails if one is in two
		views = append(views[1:], now)
	}
}

// conflictsOnly reports whether all errors are conflicts, which a cache that is behind causes.
func conflictsOnly(err error) bool {
	var all interface{ Unwrap() []error }
	return errors.As(err, &all) && !slices.ContainsFunc(all.Unwrap(), func(err error) bool { return !apierrors.IsConflict(err) })
}

// Somebody has created a slice with the name of one of ours, or has removed the labels of ours.
func TestApply_NameIsTaken_TakesOverOnlyOwnSlices(t *testing.T) {
	wants := fixtures.Wants(fixtures.Numbered(2))
	desired := sliceplan.Make(wants, nil).Create[0]
	tests := map[string]struct {
		damage func(*discoveryv1.EndpointSlice)
		ours   bool
	}{
		"without labels":     {func(s *discoveryv1.EndpointSlice) { s.Labels = nil }, true},
		"of another type":    {func(s *discoveryv1.EndpointSlice) { s.Labels, s.AddressType = nil, discoveryv1.AddressTypeFQDN }, true},
		"of somebody else's": {func(s *discoveryv1.EndpointSlice) { s.OwnerReferences = nil }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			present := desired.DeepCopy()
			present.Endpoints = nil
			test.damage(present)
			c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(present).Build()
			err := applierOn(c).apply(t.Context(), wants.Owner, sliceplan.Make(wants, nil))
			after := written(t, c)
			switch {
			case !test.ours && (err == nil || len(after) != 1 || len(after[0].Endpoints) != 0):
				t.Errorf("%v; there are %v, want an error and what there was", err, after)
			case test.ours && (err != nil || len(after) != 1 || after[0].AddressType != desired.AddressType || len(after[0].Endpoints) != 2 || len(after[0].Labels) == 0):
				t.Errorf("%v; there are %v, want the one that is ours", err, after)
			}
		})
	}
}

// refusing is an API server that creates nothing while it is set.
func refusing(refuse *bool) client.Client {
	return fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if *refuse {
				return errors.New("quota exceeded")
			}
			return c.Create(ctx, object, options...)
		},
	}).Build()
}

// Only what was written counts.
func TestApply_Writes_AreCounted(t *testing.T) {
	refuse := true
	c := refusing(&refuse)
	applier := applierOn(c)
	wants := fixtures.Wants(fixtures.Numbered(2))
	apply := func(plan sliceplan.Plan) { _ = applier.apply(t.Context(), wants.Owner, plan) }
	expect := func(want telemetry.Counts) {
		t.Helper()
		if got := applier.counters.Of(client.ObjectKeyFromObject(wants.Owner)); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
		for operation, count := range map[string]int{"create": want.Created, "update": want.Updated, "delete": want.Deleted} {
			if got := testutil.ToFloat64(applier.writes.WithLabelValues(operation)); got != float64(count) {
				t.Errorf("counted %v times %s, want %d", got, operation, count)
			}
		}
	}
	apply(sliceplan.Make(wants, nil))
	expect(telemetry.Counts{})
	refuse = false
	apply(sliceplan.Make(wants, nil))
	expect(telemetry.Counts{Created: 1})
	wants.Endpoints = wants.Endpoints[:1]
	stale := written(t, c)
	apply(sliceplan.Make(wants, stale))
	expect(telemetry.Counts{Created: 1, Updated: 1})
	apply(sliceplan.Plan{Delete: stale}) // in a version that is not there any more
	expect(telemetry.Counts{Created: 1, Updated: 1})
	apply(sliceplan.Plan{Delete: written(t, c)})
	expect(telemetry.Counts{Created: 1, Updated: 1, Deleted: 1})
}

// An endpoint moves to another slice, which cannot be written.
func TestApply_EndpointCouldNotMove_SliceIsNotDeleted(t *testing.T) {
	refuse := false
	c := refusing(&refuse)
	applier := applierOn(c)
	old := fixtures.Wants(append(fixtures.Numbered(2), fixtures.Healthy("2001:db8::1", fixtures.HTTPPort(8080))))
	if err := applier.apply(t.Context(), old.Owner, sliceplan.Make(old, nil)); err != nil {
		t.Fatal(err)
	}
	// Both go into slices of their own; the IPv6 endpoint leaves.
	wants := fixtures.Wants(fixtures.Numbered(2))
	wants.Endpoints[0].Ports = fixtures.HTTPPort(1)
	wants.Endpoints[1].Ports = fixtures.HTTPPort(2)
	refuse = true
	if err := applier.apply(t.Context(), wants.Owner, sliceplan.Make(wants, written(t, c))); err == nil {
		t.Error("says nothing of the failure")
	}
	if present := written(t, c); len(present) != 1 || len(present[0].Endpoints) != 2 {
		t.Errorf("there are %v, want the slice with both endpoints and no other", present)
	}
	refuse = false
	if err := applier.apply(t.Context(), wants.Owner, sliceplan.Make(wants, written(t, c))); err != nil {
		t.Fatal(err)
	}
	if present := written(t, c); len(present) != 2 {
		t.Errorf("there are %v, want a slice for each endpoint", present)
	}
}

// The cache shows a slice as it was before somebody wrote it, such as an operator that has
// taken over.
func TestApply_SliceChangedSince_IsNotDeleted(t *testing.T) {
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).Build()
	applier, wants := applierOn(c), fixtures.Wants(fixtures.Numbered(1))
	if err := applier.apply(t.Context(), wants.Owner, sliceplan.Make(wants, nil)); err != nil {
		t.Fatal(err)
	}
	seen, changed := written(t, c), written(t, c)[0]
	changed.Endpoints[0].Zone = fixtures.TextOrNil("a")
	if err := c.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if err := applier.apply(t.Context(), wants.Owner, sliceplan.Plan{Delete: seen}); !conflictsOnly(err) || len(written(t, c)) != 1 {
		t.Errorf("%v; there are %v, want a conflict and the slice", err, written(t, c))
	}
}

// Endpoints are to move to slices that cannot be created, out of one that stays.
func TestApply_EndpointCouldNotMove_StaysInItsSlice(t *testing.T) {
	tests := map[string]func(*sliceplan.Wants){
		"fewer in a slice": func(wants *sliceplan.Wants) { wants.MaxEndpoints = 3 },
		"another port":     func(wants *sliceplan.Wants) { wants.Endpoints[7].Ports = fixtures.HTTPPort(1) },
		"zones": func(wants *sliceplan.Wants) {
			wants.Owner.Spec.EndpointSlices = &farpointv1.EndpointSliceOptions{GroupBy: farpointv1.GroupByZone}
			wants.Endpoints[7].Spec = &farpointv1.Endpoint{Zone: "a"}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			refuse := false
			c := refusing(&refuse)
			applier, wants := applierOn(c), fixtures.Wants(fixtures.Numbered(8))
			if err := applier.apply(t.Context(), wants.Owner, sliceplan.Make(wants, nil)); err != nil {
				t.Fatal(err)
			}
			change(&wants)
			refuse = true
			version := written(t, c)[0].ResourceVersion
			for i, state := range []health.State{health.StateHealthy, health.StateUnhealthy, health.StateUnhealthy} {
				wants.Endpoints[0].Health = health.New(state)
				if err := applier.apply(t.Context(), wants.Owner, sliceplan.Make(wants, written(t, c))); err == nil {
					t.Error("says nothing of the failure")
				}
				present := written(t, c)
				if len(present) != 1 || len(present[0].Endpoints) != 8 {
					t.Fatalf("there are %v, want the slice with all endpoints and no other", present)
				}
				if first := present[0].Endpoints[0]; *first.Conditions.Ready != (state == health.StateHealthy) {
					t.Errorf("%v is published, although it is %v", first, state)
				}
				if changed, wrote := i == 1, present[0].ResourceVersion != version; changed != wrote {
					t.Errorf("try %d: changed: %v, written: %v", i, changed, wrote)
				}
				version = present[0].ResourceVersion
			}
			refuse = false
			if err := applier.apply(t.Context(), wants.Owner, sliceplan.Make(wants, written(t, c))); err != nil {
				t.Fatal(err)
			}
			present := written(t, c)
			if plan := sliceplan.Make(wants, present); len(present) < 2 || !plan.IsEmpty() {
				t.Errorf("there are %v, want all slices as they should be", present)
			}
		})
	}
}

// A slice is to be reused for new endpoints, and its endpoints are to move to others, which
// cannot be written; see TestPlanWritesWhatLosesEndpointsLast.
func TestApply_EndpointCouldNotMove_SliceIsNotReused(t *testing.T) {
	refused := map[string]bool{}
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			if refused[object.GetName()] {
				return errors.New("not now")
			}
			return c.Update(ctx, object, options...)
		},
	}).Build()
	applier := applierOn(c)
	portSets := []*endpoint.PortSet{fixtures.HTTPPort(1), fixtures.HTTPPort(2), fixtures.HTTPPort(3), fixtures.HTTPPort(4)}
	at := func(address string, ports int) endpoint.Verdict { return fixtures.Healthy(address, portSets[ports]) }
	old := fixtures.Wants([]endpoint.Verdict{at("10.0.0.1", 0), at("10.0.0.2", 0), at("10.0.0.3", 1), at("10.0.0.4", 2)})
	if err := applier.apply(t.Context(), old.Owner, sliceplan.Make(old, nil)); err != nil {
		t.Fatal(err)
	}
	wants := fixtures.Wants([]endpoint.Verdict{at("10.0.0.9", 3), at("10.0.0.1", 1), at("10.0.0.2", 2), at("10.0.0.3", 1), at("10.0.0.4", 2)})
	plan := sliceplan.Make(wants, written(t, c))
	if len(plan.ShrinkLast) != 1 {
		t.Fatalf("%d slices lose endpoints, want one", len(plan.ShrinkLast))
	}
	refused[plan.Update[0].Name] = true
	if err := applier.apply(t.Context(), wants.Owner, plan); err == nil {
		t.Error("says nothing of the failure")
	}
	there := map[string]bool{}
	for _, slice := range written(t, c) {
		for _, endpoint := range slice.Endpoints {
			there[endpoint.Addresses[0]] = true
		}
	}
	for _, address := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"} {
		if !there[address] {
			t.Errorf("%s is missing", address)
		}
	}
	refused = nil
	if err := applier.apply(t.Context(), wants.Owner, sliceplan.Make(wants, written(t, c))); err != nil {
		t.Fatal(err)
	}
	if plan := sliceplan.Make(wants, written(t, c)); !plan.IsEmpty() {
		t.Errorf("there is still to be written %v", fixtures.Writes(plan))
	}
}

func TestHeldBack_OtherPorts_AreNotMixed(t *testing.T) {
	wants := fixtures.Wants(fixtures.Numbered(1))
	present := sliceplan.Make(wants, nil).Create[0]
	wants.Endpoints[0].Ports, wants.Endpoints[0].Health = fixtures.HTTPPort(1), health.New(health.StateUnhealthy)
	if held := heldBack(present, sliceplan.Make(wants, nil).Create[0], nil); held != nil {
		t.Errorf("%v is written of an endpoint whose other port is dead", held)
	}
}
