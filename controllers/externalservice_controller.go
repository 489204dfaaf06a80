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
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/apiserver"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/ownwrites"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/controllers/telemetry"
	"farpoint.dev/farpoint/controllers/tenancy"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/scheduler"
)

// +kubebuilder:rbac:groups=farpoint.dev,resources=externalservices,verbs=get;list;watch
// +kubebuilder:rbac:groups=farpoint.dev,resources=externalservices/status,verbs=update
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

// refusedInterval is how often a Service that the API server refuses is retried.
const refusedInterval = 10 * time.Second

// What the API server has refused is retried after pauses that double from shortPause to
// longPause, which is so short that a burst of refusals has no long effect.
const shortPause, longPause = 5 * time.Millisecond, 10 * time.Second

// unansweredDelay is the pause before a request that the API server has not answered is retried.
// The retry then waits until the API server is back, see apiserver.Lease.
const unansweredDelay = time.Second

// conflictDelay gives the watch time to bring what somebody else wrote.
const conflictDelay = 50 * time.Millisecond

// probeScheduler probes targets; see scheduler.Scheduler.
type probeScheduler interface {
	Set(probes.Owner, []scheduler.Target)
	Remove(probes.Owner)
	Health(probes.Owner) map[string]health.Health
	Held(probes.Owner) bool
}

// Reconciler makes the EndpointSlices of an ExternalService say what the scheduler knows
// of its endpoints. It never probes and never waits for a probe.
type Reconciler struct {
	client client.Client
	// leading waits until the API server answers and this process is known to lead: what is then
	// written is what is known then.
	leading   func(context.Context) error
	scheduler probeScheduler
	// resolver knows where DNS names lead.
	resolver nameResolver
	// transitions requeue owners when the scheduler reports a change.
	transitions *transitions
	// decisions are what was last written about which endpoints get traffic.
	decisions *availability.DecisionStore
	clock     clock.PassiveClock
	targets   targets.Planner
	services  serviceResolver
	slices    slicesApplier
	endpoints *endpointsKeeper
	// own are the writes of this process that the cache does not show yet.
	own      *ownwrites.Tracker
	pods     *podSlices
	events   *eventQueue
	measured *telemetry.PublishMetrics
	counters *telemetry.ObjectCounters
	// definitions are what endpoints are probed by.
	definitions *definitions
	// policies limit what an object may do, by its namespace.
	policies *tenancy.Policies
	// maxEndpoints is the maximum number of endpoints in a slice if the spec sets none.
	maxEndpoints int
}

// Reconcile brings what is published for one ExternalService up to date.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	if err := r.leading(ctx); err != nil {
		return ctrl.Result{}, err
	}
	result, err := r.reconcile(ctx, request)
	switch {
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		// Another writer was faster, or the cache is behind. The watch brings what was written;
		// nothing is wrong.
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case apiserver.IsUnreachable(err) && ctx.Err() == nil:
		ctrl.LoggerFrom(ctx).Error(err, "The API server does not answer")
		return ctrl.Result{RequeueAfter: unansweredDelay}, nil
	}
	return result, err
}

// reconcile goes through the stages in their order. The slices are written first; everything
// that only reports follows.
func (r *Reconciler) reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object, err := r.read(ctx, request)
	if err != nil || object == nil {
		return ctrl.Result{}, err
	}
	limits, known := r.policies.Of(request.Namespace)
	if !known {
		return ctrl.Result{}, nil // requeued when the policies of the namespace are known
	}
	if isSuspended, err := r.suspend(ctx, object, limits); isSuspended || err != nil {
		return ctrl.Result{}, err
	}
	current, known, err := r.locate(ctx, object)
	if err != nil || !known {
		return ctrl.Result{}, err // requeued when the ReferenceGrants are known
	}
	change := r.claimChange(object) // before the health is read, which may be newer
	defer change.restore()
	evaluated, wait, err := r.evaluate(ctx, object, limits, current)
	if err != nil || wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, err
	}
	written, err := r.syncSlices(ctx, object, current, evaluated, change.trigger())
	if err != nil {
		return ctrl.Result{}, err
	}
	if written.err() == nil {
		change.published()
	}
	followed, err := r.followSlices(ctx, object, current.service, evaluated, written)
	if err != nil {
		return ctrl.Result{}, err
	}
	due := r.requeueAfter(current, evaluated, written, followed)
	findings := findingsOf(current, evaluated, written, followed)
	if err := r.report(ctx, object, report.Summarize(object, findings, r.now())); err != nil {
		return retryInTime(ctx, due, err)
	}
	if findings.WriteFailed != nil {
		return retryInTime(ctx, due, findings.WriteFailed)
	}
	return due, nil
}

// read returns the object after all writes of this process, or nil if there is nothing to do: it
// is gone, and what was written for it is removed, or it is being deleted, and nothing is
// published.
func (r *Reconciler) read(ctx context.Context, request ctrl.Request) (*farpointv1.ExternalService, error) {
	object := &farpointv1.ExternalService{}
	err := r.client.Get(ctx, request.NamespacedName, object)
	switch {
	case apierrors.IsNotFound(err):
		owner := probes.Owner{Namespace: request.Namespace, Name: request.Name}
		r.forget(owner)
		r.definitions.forget(owner)
		r.counters.Forget(request.NamespacedName)
		return nil, r.removeAll(ctx, request)
	case err != nil:
		return nil, fmt.Errorf("read ExternalService: %w", err)
	}
	object = r.own.ExternalService(object)
	if object.DeletionTimestamp == nil {
		return object, nil
	}
	// Somebody's finalizer holds it. What depends on it is removed when it is gone, or by the
	// garbage collector before; until then clients follow what is published.
	published, _, err := r.allSlicesOf(ctx, request.NamespacedName)
	if err != nil || len(published) == 0 || object.Spec.Suspend {
		r.forget(probeOwner(object))
		return nil, err
	}
	return object, nil
}

// probeOwner returns the owner of an object's probes.
func probeOwner(object *farpointv1.ExternalService) probes.Owner {
	return probes.Owner{Namespace: object.Namespace, Name: object.Name}
}

// retryInTime retries a refused write no later than when something is due. After an error alone
// there are pauses of up to longPause, so that drains would end too late while, say, the status
// is refused.
func retryInTime(ctx context.Context, due ctrl.Result, refused error) (ctrl.Result, error) {
	if due.RequeueAfter == 0 || due.RequeueAfter > longPause || undecided(refused) {
		return ctrl.Result{}, refused
	}
	ctrl.LoggerFrom(ctx).Error(refused, "The API server refuses a write; retrying", "after", due.RequeueAfter)
	return due, nil
}

// forget gives up the probes of an object, and what is watched for it alone.
func (r *Reconciler) forget(owner probes.Owner) {
	r.scheduler.Remove(owner)
	r.resolver.Remove(owner)
	r.decisions.Forget(owner)
	r.transitions.claim(owner)
	r.policies.Forget(owner)
	r.pods.forget(types.NamespacedName(owner))
	r.endpoints.forget(types.NamespacedName(owner))
}

// report writes the status if it changed, and then reports the changes in Events.
func (r *Reconciler) report(ctx context.Context, object *farpointv1.ExternalService, status farpointv1.ExternalServiceStatus) error {
	if equality.Semantic.DeepEqual(object.Status, status) {
		return nil
	}
	before := object.Status
	object.Status = status
	// An update and not a patch: a patch would leave out counts that are zero from the
	// start, and would let a leader that has been asleep overwrite what its successor has
	// found out since.
	r.own.Expect(object.UID)
	switch err := r.client.Status().Update(ctx, object); {
	case apierrors.IsNotFound(err): // deleted meanwhile, which the watch reports
		r.own.Drop(object.UID)
		return nil
	case err != nil:
		r.own.Drop(object.UID)
		return fmt.Errorf("write status: %w", err)
	}
	r.own.Wrote(client.ObjectKeyFromObject(object), object)
	up, draining, ineligible, down := report.CountFlips(&before, &status)
	r.counters.Add(client.ObjectKeyFromObject(object), telemetry.Counts{Up: up, Draining: draining, Ineligible: ineligible, Down: down})
	events := append(report.Events(&before, &status), report.EndedStates(&before, &status, r.clock.Now())...)
	r.events.add(object, events, metav1.NewMicroTime(r.clock.Now()))
	return nil
}

// requeueAfter returns when to look again at what no watch reports: endpoints that have drained,
// certificates and credentials that are rotated, addresses that answers about their names lack for
// too long, what made the API server refuse a Service, such
// as a quota, Endpoints of somebody else that the cache does not hold, and own writes that the
// cache never shows.
func (r *Reconciler) requeueAfter(current currentState, evaluated evaluation, written slicesWritten, followed followUp) ctrl.Result {
	result := ctrl.Result{RequeueAfter: availability.DrainedIn(evaluated.verdicts, r.clock.Now())}
	sooner := func(wait time.Duration) {
		if result.RequeueAfter == 0 || wait < result.RequeueAfter {
			result.RequeueAfter = wait
		}
	}
	for _, wait := range []time.Duration{evaluated.referencesDue, evaluated.namesDue, evaluated.statesDue} {
		if wait > 0 {
			sooner(wait)
		}
	}
	if current.service.Reason == farpointv1.ServiceInvalidReason || followed.endpoints.Retry || written.altered {
		sooner(refusedInterval)
	}
	if current.unconfirmed || written.changed {
		sooner(ownwrites.Lifetime) // at the latest; the watch requeues before
	}
	return result
}

func (r *Reconciler) now() metav1.Time { return metav1.NewTime(r.clock.Now()) }
