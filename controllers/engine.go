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

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/controllers/tenancy"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/localnet"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/probes/transport"
)

// engine is what probes endpoints and resolves their names, and the rules of where it may
// connect to.
type engine struct {
	egress    *egress.Policy
	dialer    *transport.Dialer
	registry  protocol.Registry
	scheduler *scheduler.Scheduler
	resolver  *resolver.Resolver
	// ranges keeps the egress policy up to date with the cluster's own ranges.
	ranges startFunc
}

// newEngine adds the engine to the manager. It reports changes to transitions.
func newEngine(manager ctrl.Manager, options Options, transitions *transitions) (*engine, error) {
	policy := egress.NewPolicy(options.Egress)
	ranges, err := findRanges(manager, policy, options)
	if err != nil {
		return nil, err
	}
	dialer := transport.NewDialer(policy)
	if len(options.NameServers) > 0 {
		dialer.ResolveBy(options.NameServers)
	}
	registry := protocol.NewRegistry(dialer)
	probing, err := newScheduler(manager, options, registry, transitions.notify)
	if err != nil {
		return nil, err
	}
	names, err := newResolver(manager, options, policy, transitions.resolved)
	return &engine{egress: policy, dialer: dialer, registry: registry, scheduler: probing, resolver: names, ranges: ranges}, err
}

// newScheduler adds a scheduler and its metrics to the manager.
func newScheduler(manager ctrl.Manager, options Options, registry protocol.Registry, notify func(probes.Owner)) (*scheduler.Scheduler, error) {
	canaries, err := canaryTargets(registry, options.Canaries)
	if err != nil {
		return nil, err
	}
	network := localnet.New(localnet.Options{Echo: options.WatchGateway, Log: manager.GetLogger().WithName("network")})
	if err := manager.Add(network); err != nil {
		return nil, fmt.Errorf("add the monitor of the operator's own network: %w", err)
	}
	measured := scheduler.NewMetrics()
	if err := measureWhileRunning(manager, measured.Collectors()); err != nil {
		return nil, err
	}
	probing := scheduler.New(scheduler.Options{
		Notify:                    notify,
		MaxInFlight:               options.MaxProbesInFlight,
		MaxInFlightPerNamespace:   options.MaxProbesInFlightPerNamespace,
		MaxInFlightPerDestination: options.MaxProbesInFlightPerDestination,
		MaxHandshakes:             options.MaxTLSHandshakes,
		MaxWatches:                options.MaxWatches,
		Guard:                     options.Guard,
		Network:                   network,
		Canaries:                  canaries,
		Metrics:                   measured,
		Log:                       manager.GetLogger().WithName("probes"),
	})
	return probing, wrapped(manager.Add(probing), "add the scheduler")
}

// newResolver adds a resolver and its metrics to the manager.
func newResolver(manager ctrl.Manager, options Options, policy *egress.Policy, notify func(probes.Owner)) (*resolver.Resolver, error) {
	measured := resolver.NewMetrics()
	if err := measureWhileRunning(manager, measured.Collectors()); err != nil {
		return nil, err
	}
	names := resolver.New(resolver.Options{
		Notify:      notify,
		Servers:     options.NameServers,
		CheckServer: policy.CheckProbe,
		Grace:       options.MissingNameGrace,
		Metrics:     measured,
		Log:         manager.GetLogger().WithName("names"),
	})
	return names, wrapped(manager.Add(names), "add the resolver")
}

// canaryTargets are probed once a second, and each result is a verdict: they do not decide about
// an endpoint, but about whether to decide.
func canaryTargets(registry protocol.Registry, urls []string) ([]scheduler.Target, error) {
	planned := make([]scheduler.Target, len(urls))
	for i, url := range urls {
		definition := protocol.Definition{URL: url}
		prober, err := registry.New(definition)
		if err != nil {
			return nil, fmt.Errorf("--canary=%s: %w", url, err)
		}
		planned[i] = scheduler.Target{
			Key:        url,
			Identity:   targets.IdentityOf(definition, targets.Settings{}),
			Prober:     prober,
			Timing:     scheduler.Timing{Interval: time.Second, FastInterval: time.Second, Timeout: time.Second},
			Thresholds: health.Thresholds{Failure: 1, Success: 1},
		}
	}
	return planned, nil
}

// findRanges makes the policy follow the cluster's own ranges, as far as they can be detected.
func findRanges(manager ctrl.Manager, policy *egress.Policy, options Options) (startFunc, error) {
	if len(options.WatchNamespaces) == 0 {
		ranges, err := tenancy.NewRanges(manager, policy, options.Egress)
		if err != nil {
			return nil, err
		}
		return ranges.Start, nil
	}
	rules := options.Egress
	rules.Cluster = tenancy.APIServerRange(manager.GetConfig().Host)
	policy.Set(rules)
	return func(ctx context.Context, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		ctrl.LoggerFrom(ctx).Info("The operator watches only some namespaces: it does not enforce ExternalServicePolicies, and does not know the cluster's Service, Pod and node ranges; list these ranges in --denied-cidrs",
			"watched", options.WatchNamespaces, "denied", len(rules.Denied))
		return nil
	}, nil
}
