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
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/tenancy"
)

// +kubebuilder:rbac:groups=farpoint.dev,resources=externalservicepolicies/status,verbs=update

// policyReporter writes the status of ExternalServicePolicies.
type policyReporter struct {
	client client.Client
	// leading is that of Reconciler.
	leading func(context.Context) error
	clock   clock.PassiveClock
}

// recountDelay batches changes of the counts, so that a thousand new ExternalServices do not
// cause a thousand writes.
const recountDelay = time.Second

// addPolicyReporter adds the reporter to the manager, if the API server has policies.
func addPolicyReporter(manager ctrl.Manager, reporter *policyReporter) error {
	_, err := manager.GetRESTMapper().RESTMapping(farpointv1.GroupVersion.WithKind("ExternalServicePolicy").GroupKind(), farpointv1.GroupVersion.Version)
	if meta.IsNoMatchError(err) {
		return nil // see tenancy.Policies.Start
	}
	if err != nil {
		return fmt.Errorf("list ExternalServicePolicies: %w", err)
	}
	recount := func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		all := &farpointv1.ExternalServicePolicyList{}
		if err := reporter.client.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Could not list ExternalServicePolicies")
		}
		for i := range all.Items {
			queue.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])}, recountDelay)
		}
	}
	counted := handler.Funcs{
		CreateFunc: func(ctx context.Context, _ event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			recount(ctx, queue)
		},
		UpdateFunc: func(ctx context.Context, _ event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			recount(ctx, queue)
		},
		DeleteFunc: func(ctx context.Context, _ event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			recount(ctx, queue)
		},
	}
	relabelled := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels())
	}}
	never := predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
	err = ctrl.NewControllerManagedBy(manager).
		Named("externalservicepolicy").
		For(&farpointv1.ExternalServicePolicy{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(&corev1.Namespace{}, counted, builder.WithPredicates(relabelled)).
		Watches(&farpointv1.ExternalService{}, counted, builder.WithPredicates(never)).
		WithOptions(controller.Options{SkipNameValidation: ptr.To(true)}). // tests run several managers in one process
		Complete(reporter)
	return wrapped(err, "add the controller of policies")
}

// Reconcile writes the status of one policy if it changed.
func (r *policyReporter) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	if err := r.leading(ctx); err != nil {
		return ctrl.Result{}, err
	}
	object := &farpointv1.ExternalServicePolicy{}
	if err := r.client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	read, fault := policy.Read(object)
	namespaces, services, err := r.count(ctx, read.Namespaces)
	if err != nil {
		return ctrl.Result{}, err
	}
	status := policyStatus(object, fault, metav1.NewTime(r.clock.Now()))
	status.Namespaces, status.ExternalServices = namespaces, services
	if equality.Semantic.DeepEqual(object.Status, status) {
		return ctrl.Result{}, nil
	}
	object.Status = status
	return ctrl.Result{}, wrapped(client.IgnoreNotFound(r.client.Status().Update(ctx, object)), "write status")
}

// count counts what a selector selects.
func (r *policyReporter) count(ctx context.Context, selector labels.Selector) (namespaces, services int32, err error) {
	all, err := tenancy.ListNamespaces(ctx, r.client)
	if err != nil {
		return 0, 0, err
	}
	for i := range all {
		if !selector.Matches(labels.Set(all[i].Labels)) {
			continue
		}
		list := &farpointv1.ExternalServiceList{}
		if err := r.client.List(ctx, list, client.InNamespace(all[i].Name), client.UnsafeDisableDeepCopy); err != nil {
			return 0, 0, fmt.Errorf("list ExternalServices: %w", err)
		}
		namespaces++
		services += int32(len(list.Items))
	}
	return namespaces, services, nil
}

// policyStatus is the status of a policy that may be invalid, without its counts.
func policyStatus(object *farpointv1.ExternalServicePolicy, fault error, now metav1.Time) farpointv1.ExternalServicePolicyStatus {
	status := *object.Status.DeepCopy()
	status.ObservedGeneration = object.Generation
	ready := metav1.Condition{
		Type: farpointv1.ReadyCondition, Status: metav1.ConditionTrue, Reason: farpointv1.EnforcedReason,
		Message:            "the policy is enforced in the selected namespaces",
		ObservedGeneration: object.Generation, LastTransitionTime: now,
	}
	if fault != nil {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, farpointv1.InvalidPolicyReason, fault.Error()
	}
	meta.SetStatusCondition(&status.Conditions, ready)
	return status
}
