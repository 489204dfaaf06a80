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
	"fmt"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
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
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
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

// refusedInterval is how often a Service that the API server refuses is tried again.
const refusedInterval = 10 * time.Second

// What the API server has refused is tried again after pauses that double from shortPause
// to longPause: not so long that a storm of refusals is felt long after it has ended.
const shortPause, longPause = 5 * time.Millisecond, 10 * time.Second

// unansweredDelay is after how long what the API server has not answered is tried again.
// The try then waits until it is back, see lease.
const unansweredDelay = time.Second

// conflictDelay is the time that the watch is given to bring what somebody else wrote.
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
	// leading waits until the API server is there and this is the leader still: what is
	// then written is what is known then.
	leading   func(context.Context) error
	scheduler probeScheduler
	// resolver knows where DNS names lead.
	resolver nameResolver
	// transitions tell of what the scheduler finds.
	transitions *transitions
	// decisions are what was last written about which endpoints get traffic.
	decisions *availability.DecisionStore
	clock     clock.PassiveClock
	targets   targets.Planner
	services  serviceResolver
	slices    slicesApplier
	endpoints *endpointsKeeper
	// own are the writes of this process that the cache does not show yet.
	own      *ownWrites
	pods     *podSlices
	events   *eventQueue
	measured *telemetry.PublishMetrics
	counters *telemetry.ObjectCounters
	// definitions are what endpoints are probed by.
	definitions *definitions
	// policies confine what an object may do, by its namespace.
	policies *tenancy.Policies
	// maxEndpoints is the most endpoints in a slice where the spec says nothing.
	maxEndpoints int
}

// Reconcile carries out one ExternalService.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	if err := r.leading(ctx); err != nil {
		return ctrl.Result{}, err
	}
	result, err := r.reconcile(ctx, request)
	if errors.Is(err, tenancy.ErrGrantsUnknown) {
		return ctrl.Result{}, nil // who asked is called
	}
	var answers answersAwaited
	if errors.As(err, &answers) {
		return ctrl.Result{RequeueAfter: time.Duration(answers)}, nil // or before, by the resolver
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		// Somebody was faster, or the cache is behind. The watch brings what was written;
		// nothing is wrong.
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	}
	if apiserver.IsUnreachable(err) && ctx.Err() == nil {
		ctrl.LoggerFrom(ctx).Error(err, "The API server does not answer")
		return ctrl.Result{RequeueAfter: unansweredDelay}, nil
	}
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	owner := probes.Owner{Namespace: request.Namespace, Name: request.Name}
	object := &farpointv1.ExternalService{}
	err := r.client.Get(ctx, request.NamespacedName, object)
	switch {
	case apierrors.IsNotFound(err):
		r.forget(owner)
		r.definitions.forget(owner)
		r.counters.Forget(request.NamespacedName)
		return ctrl.Result{}, r.removeAll(ctx, request)
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("read ExternalService: %w", err)
	}
	object = r.own.externalService(object)
	if object.DeletionTimestamp != nil {
		// Somebody's finalizer holds it. What depends on it goes when it is gone, or by the
		// garbage collector before; until then clients follow what is published.
		published, _, err := r.allSlicesOf(ctx, request.NamespacedName)
		if err != nil || len(published) == 0 || object.Spec.Suspend {
			r.forget(owner)
			return ctrl.Result{}, err
		}
	}
	within, known := r.policies.Of(request.Namespace)
	if !known {
		return ctrl.Result{}, nil // it is looked at again when the namespace is known
	}
	if object.Spec.Suspend {
		r.forget(owner)
		refused, err := r.services.refusal(object)
		if err != nil {
			return ctrl.Result{}, err
		}
		if refused == nil {
			return ctrl.Result{}, r.suspend(ctx, object, within)
		}
		// A grant that is revoked takes the slices away anyway.
	}
	found, err := r.publish(ctx, object, owner, within)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.keepEndpoints(ctx, object, &found); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.removeFormerServices(ctx, object, &found); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.detectConflicts(ctx, owner, &found); err != nil {
		return ctrl.Result{}, err
	}
	due := requeueAfter(found, r.clock.Now())
	if err := r.report(ctx, object, report.Summarize(object, found.Findings, r.now())); err != nil {
		return retryInTime(ctx, due, err)
	}
	if found.WriteFailed != nil {
		return retryInTime(ctx, due, found.WriteFailed)
	}
	return due, nil
}

// retryInTime has a refused write tried again no later than when something is due. After an
// error alone there are pauses of up to longPause, by which drains would end too late for as
// long as, say, the status is refused.
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

// publish carries the object out, and measures how long the news of its health took to
// get into the slices. What could not be written is news still.
func (r *Reconciler) publish(ctx context.Context, object *farpointv1.ExternalService, owner probes.Owner, within *policy.Limits) (findings, error) {
	changed := r.transitions.claim(owner) // before the health is read, which may be newer
	trigger := changed
	if trigger.IsZero() {
		// It is an edit, or a repair. When it was made nobody tells; it was seen now.
		trigger = r.clock.Now()
	}
	found, err := r.syncSlices(ctx, object, owner, within, trigger)
	switch {
	case changed.IsZero():
	case err != nil || found.WriteFailed != nil:
		r.transitions.restore(owner, changed)
	default:
		r.measured.Latency.Observe(r.clock.Since(changed).Seconds())
	}
	return found, err
}

// syncSlices finds the Service, has the endpoints probed and writes the slices. The trigger
// is when what is news came about. It returns an error if it could not get as far as
// having findings.
func (r *Reconciler) syncSlices(ctx context.Context, object *farpointv1.ExternalService, owner probes.Owner, within *policy.Limits, trigger time.Time) (findings, error) {
	all, unconfirmed, err := r.allSlicesOf(ctx, types.NamespacedName(owner))
	if err != nil {
		return findings{}, err
	}
	found := findings{within: within, unconfirmed: unconfirmed}
	if found.Service, err = r.services.resolve(ctx, object, all); err != nil {
		return findings{}, err
	}
	existing, elsewhere := slicesIn(found.Service.Namespace(object), all)
	if found.Service.Service == nil {
		r.keepProbes(owner, within) // its health is known when the Service comes back
	} else if err := r.evaluate(ctx, object, owner, slicestate.Read(existing), &found); err != nil {
		return findings{}, err
	}
	plan := r.plan(object, found, existing, trigger)
	plan.Delete = append(plan.Delete, elsewhere...)
	done := r.slices.apply(ctx, object, existing, plan)
	if done.refused == nil && done.undecided != nil {
		return findings{}, done.undecided
	}
	found.Published, found.Refused, found.WriteFailed = done.slices, done.refused, done.err()
	found.unconfirmed = found.unconfirmed || !plan.IsEmpty()
	switch {
	case found.Service.Service == nil:
		r.decisions.Forget(owner) // a Service that comes back starts again
	case found.Availability != nil && found.WriteFailed == nil:
		r.decisions.Set(owner, found.Availability)
	}
	found.Withheld = len(plan.Withheld) > 0 || done.withheld
	if !plan.IsEmpty() && found.Refused == nil && !found.Withheld && found.Targets != nil {
		next := r.plan(object, found, done.slices, trigger)
		found.Altered = !next.IsEmpty()
	}
	return found, nil
}

// undecided reports whether nobody has refused a write: somebody was faster, or the API server
// did not answer. There is nothing to report, only to try again.
func undecided(err error) bool { return apierrors.IsConflict(err) || apiserver.IsUnreachable(err) }

// keepEndpoints follows the slices once they are written. It returns an error only if that
// is undecided.
func (r *Reconciler) keepEndpoints(ctx context.Context, object *farpointv1.ExternalService, found *findings) error {
	var err error
	found.Endpoints, err = r.endpoints.keep(ctx, object, found.Service.Service, found.Published)
	if undecided(err) {
		return err
	}
	if err != nil {
		found.WriteFailed = errors.Join(found.WriteFailed, err)
		found.Endpoints = report.EndpointsObject{Wanted: object.Spec.PublishEndpoints, Reason: farpointv1.WriteFailedReason, Message: err.Error()}
	}
	return nil
}

// removeFormerServices deletes the Services that were created for the object and are not
// its target any more, once the slices of the one that is are written. It returns an error
// only if that is undecided.
func (r *Reconciler) removeFormerServices(ctx context.Context, object *farpointv1.ExternalService, found *findings) error {
	target := ownership.TargetService(object)
	if found.Service.Service == nil || client.ObjectKeyFromObject(found.Service.Service) != target || found.WriteFailed != nil || object.DeletionTimestamp != nil {
		return nil
	}
	err := r.services.removeCreated(ctx, client.ObjectKeyFromObject(object), target)
	if undecided(err) {
		return err
	}
	found.WriteFailed = err
	return nil
}

// detectConflicts finds out who else publishes for the Service. It comes last, since it may
// have to ask the API server about a Service that is new or has changed.
func (r *Reconciler) detectConflicts(ctx context.Context, owner probes.Owner, found *findings) error {
	asker := types.NamespacedName(owner)
	if found.Service.Service == nil {
		r.pods.forget(asker)
		return nil
	}
	if found.Targets == nil {
		found.ConflictsUnknown = true
		return nil
	}
	pods, known, err := r.pods.of(ctx, asker, found.Service.Service)
	found.around.Pods, found.ConflictsUnknown = pods, !known
	found.Conflict = conflicts.Find(found.Targets.Accepted, found.around)
	return err
}

// plan takes the slices away where there is no Service to publish for.
func (r *Reconciler) plan(object *farpointv1.ExternalService, found findings, existing []*discoveryv1.EndpointSlice, trigger time.Time) sliceplan.Plan {
	if found.Service.Service == nil {
		return sliceplan.Plan{Delete: existing}
	}
	wants := sliceplan.Wants{
		Owner: object, Service: found.Service.Service, Endpoints: availability.SplitByRole(found.Verdicts), Hints: found.Traffic.Hints,
		MaxEndpoints: r.maxEndpoints, Trigger: trigger,
	}
	if options := object.Spec.EndpointSlices; options != nil && options.MaxEndpoints != nil {
		wants.MaxEndpoints = int(*options.MaxEndpoints)
	}
	return sliceplan.Make(wants, existing)
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
	r.own.expect(object.UID)
	switch err := r.client.Status().Update(ctx, object); {
	case apierrors.IsNotFound(err): // deleted meanwhile, which the watch will tell
		r.own.drop(object.UID)
		return nil
	case err != nil:
		r.own.drop(object.UID)
		return fmt.Errorf("write status: %w", err)
	}
	r.own.wrote(client.ObjectKeyFromObject(object), object)
	up, draining, down := report.CountFlips(&before, &status)
	r.counters.Add(client.ObjectKeyFromObject(object), telemetry.Counts{Up: up, Draining: draining, Down: down})
	told := report.Events(&before, &status)
	r.events.add(object, told, metav1.NewMicroTime(r.clock.Now()))
	return nil
}

// removeAll removes what was written for an ExternalService that is gone. The garbage
// collector would as well, but later, and not while it is away.
func (r *Reconciler) removeAll(ctx context.Context, request ctrl.Request) error {
	here, elsewhere, _, err := r.slicesOf(ctx, request.NamespacedName, request.Namespace)
	if err != nil {
		return err
	}
	plan := sliceplan.Plan{Delete: elsewhere}
	for _, slice := range here {
		// One without the reference was orphaned on purpose: kubectl delete --cascade=orphan.
		// That is not said of those elsewhere, and they could not stay if it were: the
		// namespace that they are in could not revoke its grant any more.
		if ownership.IsOwnedBy(slice, request.Name) {
			plan.Delete = append(plan.Delete, slice)
		}
	}
	done := r.slices.apply(ctx, nil, nil, plan)
	if err := done.err(); err != nil {
		return err
	}
	r.own.forget(request.NamespacedName)
	if err := r.endpoints.removeAll(ctx, request.NamespacedName); err != nil {
		return err
	}
	return r.services.removeCreated(ctx, request.NamespacedName, types.NamespacedName{})
}

// requeueAfter comes back to what no watch reports: endpoints that have drained, certificates and
// credentials that are rotated, what made the API server refuse a Service, such as a quota,
// Endpoints of somebody else that the cache does not hold, and own writes that the cache never
// shows.
func requeueAfter(found findings, now time.Time) ctrl.Result {
	result := ctrl.Result{RequeueAfter: availability.DrainedIn(found.Verdicts, now)}
	sooner := func(wait time.Duration) {
		if result.RequeueAfter == 0 || wait < result.RequeueAfter {
			result.RequeueAfter = wait
		}
	}
	if found.referencesDue > 0 {
		sooner(found.referencesDue)
	}
	if found.Service.Reason == farpointv1.ServiceInvalidReason || found.Endpoints.Retry || found.Altered {
		sooner(refusedInterval)
	}
	if found.unconfirmed {
		sooner(ownWriteLifetime) // at the latest; the watch calls before
	}
	return result
}

func (r *Reconciler) now() metav1.Time { return metav1.NewTime(r.clock.Now()) }
