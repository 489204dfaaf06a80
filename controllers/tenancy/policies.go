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

package tenancy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// +kubebuilder:rbac:groups=farpoint.dev,resources=externalservicepolicies,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=list;watch

// Policies knows the limits of the ExternalServices of each namespace, and requeues them when
// these change.
type Policies struct {
	cache  cache.Cache
	dialer *transport.Dialer
	// requests names the ExternalServices of a namespace.
	requests func(ctx context.Context, namespace string) []reconcile.Request
	changes  changes
	// present is what holds now. Reading it never waits.
	present atomic.Pointer[policySnapshot]

	// mu guards what follows. Nothing waits while holding it.
	mu sync.Mutex
	// lastLimits are the limits within which the probes of each owner were planned last.
	lastLimits map[probes.Owner]*policy.Limits
}

// policySnapshot is what holds for all namespaces at one time. It is never changed.
type policySnapshot struct {
	// none: there is no policy, so that it does not matter which namespaces there are.
	none bool
	// of has the limits of each namespace there is.
	of map[string]*policy.Limits
	// byVersions finds the limits by the versions of their policies.
	byVersions map[string]*policy.Limits
}

// NewPolicies returns policies that limit nothing until they are started.
func NewPolicies(from cache.Cache, dialer *transport.Dialer, requests func(ctx context.Context, namespace string) []reconcile.Request) *Policies {
	p := &Policies{cache: from, dialer: dialer, requests: requests, changes: newChanges(), lastLimits: map[probes.Owner]*policy.Limits{}}
	p.present.Store(&policySnapshot{none: true})
	return p
}

// Of returns the limits of a namespace, and false if the namespace is not known yet: its
// ExternalServices are requeued when it is.
func (p *Policies) Of(namespace string) (*policy.Limits, bool) {
	present := p.present.Load()
	limits, known := present.of[namespace]
	return limits, known || present.none
}

// RecordLimits notes that the probes of an owner are planned within these limits, and reports
// whether those before, if there were any, were planned within the same.
func (p *Policies) RecordLimits(owner probes.Owner, within *policy.Limits) (same bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, known := p.lastLimits[owner]
	p.lastLimits[owner] = within
	return !known || before == within
}

// Forget is called when an owner has no probes any more.
func (p *Policies) Forget(owner probes.Owner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.lastLimits, owner)
}

// Start is called once, before the controller reconciles anything: when it returns, the policies
// are known. From then on it follows them.
func (p *Policies) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	for _, object := range []client.Object{&farpointv1.ExternalServicePolicy{}, NamespaceMetadata()} {
		informer, err := p.cache.GetInformer(ctx, object)
		if meta.IsNoMatchError(err) { // only the CRD can be missing
			ctrl.LoggerFrom(ctx).Info("The API server has no ExternalServicePolicies, so none are enforced: install the CRD and restart the operator to enable them")
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		if _, err := informer.AddEventHandler(p.changes.handler(selectsOtherwise)); err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
	}
	if err := p.refresh(ctx, nil); err != nil {
		return err
	}
	go p.changes.follow(ctx, "Could not read the policies; keeping the previous ones", func(ctx context.Context) error {
		return p.refresh(ctx, queue)
	})
	return nil
}

// NamespaceMetadata returns the type of Namespaces in the cache, which holds their names and
// labels.
func NamespaceMetadata() *metav1.PartialObjectMetadata {
	metadata := &metav1.PartialObjectMetadata{}
	metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return metadata
}

// StripNamespace keeps only the fields of a Namespace by which policies select it.
func StripNamespace(object any) (any, error) {
	if namespace, ok := object.(*metav1.PartialObjectMetadata); ok {
		namespace.ObjectMeta = metav1.ObjectMeta{Name: namespace.Name, UID: namespace.UID, ResourceVersion: namespace.ResourceVersion, Labels: namespace.Labels}
	}
	return object, nil
}

// selectsOtherwise reports whether an update changes the spec of a policy, or the labels by which
// policies select a namespace.
func selectsOtherwise(before, after any) bool {
	a, b := before.(client.Object), after.(client.Object)
	return a.GetGeneration() != b.GetGeneration() || a.GetUID() != b.GetUID() || !maps.Equal(a.GetLabels(), b.GetLabels())
}

// refresh applies the policies in the cache, and requeues the ExternalServices whose limits have
// changed.
func (p *Policies) refresh(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	all := &farpointv1.ExternalServicePolicyList{}
	if err := p.cache.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list ExternalServicePolicies: %w", err)
	}
	namespaces, err := ListNamespaces(ctx, p.cache)
	if err != nil {
		return err
	}
	before := p.present.Load()
	next := newSnapshot(readPolicies(ctx, all.Items), namespaces, before.byVersions, p.dialer)
	p.present.Store(next)
	if queue == nil {
		return nil
	}
	for _, namespace := range next.differences(before) {
		for _, request := range p.requests(ctx, namespace) {
			queue.Add(request)
		}
	}
	return nil
}

// ListNamespaces lists the names and labels of all namespaces.
func ListNamespaces(ctx context.Context, from client.Reader) ([]metav1.PartialObjectMetadata, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := from.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Namespaces: %w", err)
	}
	return list.Items, nil
}

// readPolicies returns the policies in the order of their names.
func readPolicies(ctx context.Context, from []farpointv1.ExternalServicePolicy) []*policy.Policy {
	policies := make([]*policy.Policy, len(from))
	for i := range from {
		var err error
		if policies[i], err = policy.Read(&from[i]); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "An ExternalServicePolicy is invalid", "policy", from[i].Name)
		}
	}
	slices.SortFunc(policies, func(a, b *policy.Policy) int { return strings.Compare(a.Source, b.Source) })
	return policies
}

// newSnapshot finds out what holds in each namespace. Limits that were made for the same policies
// before are reused.
func newSnapshot(all []*policy.Policy, namespaces []metav1.PartialObjectMetadata, before map[string]*policy.Limits, dialer *transport.Dialer) *policySnapshot {
	next := &policySnapshot{none: len(all) == 0, of: make(map[string]*policy.Limits, len(namespaces)), byVersions: map[string]*policy.Limits{}}
	for i := range namespaces {
		var selecting []*policy.Policy
		var versions strings.Builder
		for _, p := range all {
			if p.Namespaces.Matches(labels.Set(namespaces[i].Labels)) {
				selecting = append(selecting, p)
				versions.WriteString(p.Version + " ")
			}
		}
		key := versions.String()
		limits, ok := next.byVersions[key]
		if !ok {
			if limits, ok = before[key]; !ok {
				limits = policy.NewLimits(selecting, dialer)
			}
			next.byVersions[key] = limits
		}
		next.of[namespaces[i].Name] = limits
	}
	return next
}

// differences returns the namespaces whose limits were different before, or unknown.
func (c *policySnapshot) differences(before *policySnapshot) []string {
	var changed []string
	for namespace, now := range c.of {
		if then, known := before.of[namespace]; then != now || !known && !before.none {
			changed = append(changed, namespace)
		}
	}
	return changed
}
