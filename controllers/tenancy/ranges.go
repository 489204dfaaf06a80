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
	"net/netip"
	"net/url"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/apiserver"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/probes/egress"
)

// +kubebuilder:rbac:groups="",resources=nodes,verbs=list;watch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=servicecidrs,verbs=list;watch

// Ranges keeps the egress policy in step with the addresses that belong to the cluster, and
// requeues the ExternalServices about whose addresses it now decides differently.
type Ranges struct {
	// cluster has a cache of its own, since it needs only one of all the EndpointSlices that are
	// not ours.
	cluster cluster.Cluster
	// objects reads ExternalServices from the manager's cache.
	objects client.Reader
	policy  *egress.Policy
	// rules are the administrator's.
	rules egress.Rules
	// known are the ranges that the policy follows.
	known   []egress.ClusterRange
	changes changes
}

// APIServerRange returns the address at which the operator reaches the API server, if that is not
// a name.
func APIServerRange(host string) []egress.ClusterRange {
	at, err := url.Parse(host)
	if err != nil {
		return nil
	}
	prefix, err := policy.ParsePrefix(at.Hostname())
	if err != nil || at.Hostname() == "" {
		return nil
	}
	return []egress.ClusterRange{{Prefix: prefix, Kind: "an API server of this cluster"}}
}

// NewRanges adds what it needs to the manager. The policy has the rules already.
func NewRanges(manager ctrl.Manager, policy *egress.Policy, rules egress.Rules) (*Ranges, error) {
	ranges, err := cluster.New(manager.GetConfig(), func(options *cluster.Options) {
		options.Scheme = manager.GetScheme()
		options.Cache.NewInformer = apiserver.NewInformer
		options.Cache.DefaultTransform = cache.TransformStripManagedFields()
		options.Cache.ByObject = map[client.Object]cache.ByObject{
			&corev1.Node{}: {Transform: stripNode},
			&discoveryv1.EndpointSlice{}: {
				Namespaces: map[string]cache.Config{apiServerSlice.Namespace: {}},
				Field:      fields.OneTermEqualSelector("metadata.name", apiServerSlice.Name),
			},
		}
	})
	if err != nil {
		return nil, fmt.Errorf("create the cache of the cluster's ranges: %w", err)
	}
	if err := manager.Add(ranges); err != nil {
		return nil, fmt.Errorf("add the cache of the cluster's ranges: %w", err)
	}
	return &Ranges{cluster: ranges, objects: manager.GetClient(), policy: policy, rules: rules, changes: newChanges()}, nil
}

// apiServerSlice holds the addresses of the API servers, which write it themselves.
var apiServerSlice = client.ObjectKey{Namespace: "default", Name: "kubernetes"}

// stripNode removes the fields of a Node that are never read.
func stripNode(object any) (any, error) {
	if node, ok := object.(*corev1.Node); ok {
		*node = corev1.Node{
			ObjectMeta: node.ObjectMeta,
			Spec:       corev1.NodeSpec{PodCIDR: node.Spec.PodCIDR, PodCIDRs: node.Spec.PodCIDRs},
			Status:     corev1.NodeStatus{Addresses: node.Status.Addresses},
		}
	}
	return object, nil
}

// Start is called once, before the controller reconciles anything: when it returns, the ranges
// are known. From then on it follows them.
func (r *Ranges) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	lists, err := r.watch(ctx)
	if err != nil {
		return err
	}
	if r.known, err = r.read(ctx, lists); err != nil {
		return err
	}
	r.policy.Set(r.rulesWith(r.known))
	logRanges(ctrl.LoggerFrom(ctx), r.known)
	go r.changes.follow(ctx, "Could not read the cluster's ranges; keeping the previous ones", func(ctx context.Context) error {
		return r.refresh(ctx, lists, queue)
	})
	return nil
}

// watch returns the lists to read the ranges from, which are in the cache when it returns.
func (r *Ranges) watch(ctx context.Context) ([]client.ObjectList, error) {
	var lists []client.ObjectList
	for _, kind := range []struct {
		object client.Object
		list   client.ObjectList
	}{
		{&networkingv1.ServiceCIDR{}, &networkingv1.ServiceCIDRList{}},
		{&corev1.Node{}, &corev1.NodeList{}},
		{&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}},
	} {
		informer, err := r.cluster.GetCache().GetInformer(ctx, kind.object)
		if meta.IsNoMatchError(err) { // ServiceCIDR is there since Kubernetes 1.33
			gvk, _ := apiutil.GVKForObject(kind.object, r.cluster.GetScheme())
			ctrl.LoggerFrom(ctx).Info("The API server lacks this kind: list the cluster's Service ranges in --denied-cidrs", "kind", gvk.Kind)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind.object, err)
		}
		if _, err := informer.AddEventHandler(r.changes.handler(holdsOtherRanges)); err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind.object, err)
		}
		lists = append(lists, kind.list)
	}
	return lists, nil
}

// holdsOtherRanges reports whether an update of an object changes its ranges. Nodes change all the
// time, but hardly ever their addresses.
func holdsOtherRanges(before, after any) bool {
	return !slices.Equal(rangesOf(before), rangesOf(after))
}

func (r *Ranges) read(ctx context.Context, lists []client.ObjectList) ([]egress.ClusterRange, error) {
	var ranges []egress.ClusterRange
	for _, list := range lists {
		if err := r.cluster.GetCache().List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
		err := meta.EachListItem(list, func(object runtime.Object) error {
			ranges = append(ranges, rangesOf(object)...)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("go through %T: %w", list, err)
		}
	}
	slices.SortFunc(ranges, func(a, b egress.ClusterRange) int { return a.Prefix.Compare(b.Prefix) })
	return slices.Compact(ranges), nil
}

// refresh makes the policy follow the ranges as they are now.
func (r *Ranges) refresh(ctx context.Context, lists []client.ObjectList, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	ranges, err := r.read(ctx, lists)
	if err != nil || slices.Equal(ranges, r.known) {
		return err
	}
	before := egress.NewPolicy(r.rulesWith(r.known))
	r.known = ranges
	r.policy.Set(r.rulesWith(ranges))
	all := &farpointv1.ExternalServiceList{}
	if err := r.objects.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list ExternalServices: %w", err)
	}
	for i := range all.Items {
		if specAffected(&all.Items[i], before, r.policy) {
			queue.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
		}
	}
	published := &discoveryv1.EndpointSliceList{}
	if err := r.objects.List(ctx, published, client.MatchingLabels{discoveryv1.LabelManagedBy: farpointv1.ManagedBy}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list EndpointSlices: %w", err)
	}
	for i := range published.Items {
		if owner, ours := ownership.OfSlice(&published.Items[i]); ours && sliceAffected(&published.Items[i], before, r.policy) {
			queue.Add(reconcile.Request{NamespacedName: owner})
		}
	}
	return nil
}

func (r *Ranges) rulesWith(known []egress.ClusterRange) egress.Rules {
	rules := r.rules
	rules.Cluster = known
	return rules
}

// sliceAffected reports whether two policies differ about an address in a slice, which
// may have left the spec.
func sliceAffected(slice *discoveryv1.EndpointSlice, a, b *egress.Policy) bool {
	return slices.ContainsFunc(slice.Endpoints, func(endpoint discoveryv1.Endpoint) bool {
		return slices.ContainsFunc(endpoint.Addresses, func(text string) bool { return differ(text, a, b) })
	})
}

// differ reports whether two policies differ about an address. They do not about a text that
// is no address.
func differ(text string, a, b *egress.Policy) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && (a.CheckProbe(addr) == nil) != (b.CheckProbe(addr) == nil)
}

// specAffected reports whether two policies may differ about an address in a spec.
func specAffected(object *farpointv1.ExternalService, a, b *egress.Policy) bool {
	probed := func(text farpointv1.HealthCheckURL) bool {
		u, err := url.Parse(string(text))
		return err == nil && differ(u.Hostname(), a, b)
	}
	affected := func(ep farpointv1.Endpoint) bool {
		// Where a name leads is not in the spec, and not all of it in the slices.
		return endpoint.IsDNSName(ep.Address) || differ(ep.Address, a, b) || probed(ep.HealthCheckURL)
	}
	return probed(object.Spec.HealthCheckURL) || slices.ContainsFunc(object.Spec.Endpoints, affected)
}

// rangesOf returns the addresses that are the cluster's own according to an object.
func rangesOf(object any) []egress.ClusterRange {
	var ranges []egress.ClusterRange
	add := func(kind string, texts ...string) {
		for _, text := range texts {
			prefix, err := netip.ParsePrefix(text) // with whatever bits it has set
			if err != nil {
				prefix, err = policy.ParsePrefix(text)
			}
			if err == nil { // a node may have a name among its addresses
				ranges = append(ranges, egress.ClusterRange{Prefix: prefix.Masked(), Kind: kind})
			}
		}
	}
	switch object := object.(type) {
	case *networkingv1.ServiceCIDR:
		add("a Service of this cluster", object.Spec.CIDRs...)
	case *corev1.Node:
		add("a Pod of this cluster", object.Spec.PodCIDRs...)
		for _, address := range object.Status.Addresses {
			add("a node of this cluster", address.Address)
		}
	case *discoveryv1.EndpointSlice:
		for _, endpoint := range object.Endpoints {
			add("an API server of this cluster", endpoint.Addresses...)
		}
	}
	return ranges
}

// logRanges writes the cluster's own ranges, a few of each kind.
func logRanges(log logr.Logger, ranges []egress.ClusterRange) {
	byKind := map[string][]string{}
	for _, r := range ranges {
		byKind[r.Kind] = append(byKind[r.Kind], r.Prefix.String())
	}
	var values []any
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		shown := byKind[kind]
		if more := len(shown) - maxLoggedRanges; more > 0 {
			shown = append(shown[:maxLoggedRanges:maxLoggedRanges], fmt.Sprintf("and %d more", more))
		}
		values = append(values, kind, shown)
	}
	log.Info("Found the cluster's own ranges, which may be neither probed nor published", values...)
}

// maxLoggedRanges is how many ranges of a kind the log shows: there are as many of Pods as nodes.
const maxLoggedRanges = 3
