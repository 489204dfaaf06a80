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
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/leaderelection"
	"sigs.k8s.io/controller-runtime/pkg/log"
	crmanager "sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/alerting"
	"farpoint.dev/farpoint/controllers/apiserver"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/ownwrites"
	"farpoint.dev/farpoint/controllers/references"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/controllers/telemetry"
	"farpoint.dev/farpoint/controllers/tenancy"
	"farpoint.dev/farpoint/controllers/tenantqueue"
)

// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update,namespace=farpoint-system
// +kubebuilder:rbac:groups="",resources=events,verbs=create,namespace=farpoint-system

// NewManager returns the operator, ready to be started.
func NewManager(config *rest.Config, options Options) (ctrl.Manager, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), farpointv1.AddToScheme(scheme), gatewayv1.Install(scheme), gatewayv1beta1.Install(scheme)); err != nil {
		return nil, fmt.Errorf("build the scheme: %w", err)
	}
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = apiserver.WarningFilter{Next: log.NewKubeAPIWarningLogger(log.KubeAPIWarningLoggerOptions{})}
	manager, lock, err := newElectedManager(config, scheme, options)
	if err != nil {
		return nil, err
	}
	if err := addIndexes(context.Background(), manager.GetFieldIndexer()); err != nil {
		return nil, err
	}
	if err := addReconciler(manager, lock, options); err != nil {
		return nil, err
	}
	if err := addNotifier(manager, options); err != nil {
		return nil, err
	}
	if err := addServerReport(manager); err != nil {
		return nil, err
	}
	return manager, addHealth(manager)
}

// newElectedManager returns a manager that has nothing to run yet, and the lock of its leader
// election.
func newElectedManager(config *rest.Config, scheme *runtime.Scheme, options Options) (ctrl.Manager, *apiserver.Lease, error) {
	caches, err := cacheOptions(options.WatchNamespaces)
	if err != nil {
		return nil, nil, err
	}
	metricsServer, err := metricsOptions(options)
	if err != nil {
		return nil, nil, err
	}
	lock := apiserver.NewLease(clock.RealClock{})
	waiting := rest.CopyConfig(config)
	waiting.Wrap(lock.Wrap)
	manager, err := ctrl.NewManager(waiting, ctrl.Options{
		Scheme:                              scheme,
		Cache:                               caches,
		Metrics:                             metricsServer,
		PprofBindAddress:                    options.PprofBindAddress,
		HealthProbeBindAddress:              options.HealthBindAddress,
		LeaderElection:                      options.LeaderElect,
		LeaderElectionResourceLockInterface: lock,
		LeaseDuration:                       ptr.To(apiserver.LeaseDuration),
		RenewDeadline:                       ptr.To(apiserver.RenewDeadline),
		RetryPeriod:                         ptr.To(apiserver.RetryPeriod),
		LeaderElectionReleaseOnCancel:       true, // the process ends with the manager
	})
	if err != nil {
		return nil, nil, fmt.Errorf("create the manager: %w", err)
	}
	// The lock reports the election in Events, by the manager that asks it.
	lock.Interface, err = leaderelection.NewResourceLock(config, manager, leaderelection.Options{
		LeaderElection:          options.LeaderElect,
		LeaderElectionID:        apiserver.LeaseName,
		LeaderElectionNamespace: options.LeaderElectionNamespace,
		RenewDeadline:           apiserver.RenewDeadline,
	})
	return manager, lock, wrapped(err, "create the leader election lock")
}

// addReconciler adds the engine, the reconciler, and what they report by.
func addReconciler(manager ctrl.Manager, lock *apiserver.Lease, options Options) error {
	transitions := newTransitions(clock.RealClock{})
	engine, err := newEngine(manager, options, transitions)
	if err != nil {
		return err
	}
	publishing, counters := telemetry.NewPublishMetrics(), telemetry.NewObjectCounters()
	events := newEventQueue(manager.GetClient(), lock.Leading)
	state := &telemetry.StateCollector{Objects: manager.GetCache(), Observer: engine.scheduler, Counters: counters, PerEndpoint: options.PerEndpointMetrics}
	if err := errors.Join(manager.Add(events), measureWhileRunning(manager, append(publishing.Collectors(), state, events.dropped))); err != nil {
		return err
	}
	live, err := client.NewWithWatch(manager.GetConfig(), client.Options{HTTPClient: manager.GetHTTPClient(), Scheme: manager.GetScheme(), Mapper: manager.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("create the client for watches: %w", err)
	}
	own := ownwrites.New(clock.RealClock{})
	reconciler := &Reconciler{
		decisions:    &availability.DecisionStore{},
		client:       manager.GetClient(),
		leading:      lock.Leading,
		scheduler:    engine.scheduler,
		resolver:     engine.resolver,
		transitions:  transitions,
		clock:        clock.RealClock{},
		targets:      targets.Planner{Registry: engine.registry, Egress: engine.egress},
		services:     serviceResolver{client: manager.GetClient(), grants: tenancy.NewGrants(live, clock.RealClock{}, options.WatchNamespaces, withServiceIn(manager.GetClient()))},
		slices:       slicesApplier{client: manager.GetClient(), live: manager.GetAPIReader(), own: own, writes: publishing.Writes, counters: counters},
		endpoints:    newEndpointsKeeper(manager.GetClient(), manager.GetAPIReader(), clock.RealClock{}),
		own:          own,
		pods:         newPodSlices(live, clock.RealClock{}),
		events:       events,
		definitions:  newDefinitions(manager.GetAPIReader(), references.Cadence{Interval: options.ReferencesInterval, Grace: options.RemovedCredentialGrace}),
		policies:     tenancy.NewPolicies(manager.GetCache(), engine.dialer, inNamespace(manager.GetCache())),
		measured:     publishing,
		counters:     counters,
		maxEndpoints: options.MaxEndpointsPerSlice,
	}
	if err := reconciler.watch(manager, sourcesOf(reconciler, engine, options), controllerOptions(manager, options)); err != nil {
		return fmt.Errorf("add the controller: %w", err)
	}
	if len(options.WatchNamespaces) > 0 {
		return nil // policies are not enforced
	}
	return addPolicyReporter(manager, &policyReporter{client: manager.GetClient(), leading: lock.Leading, clock: clock.RealClock{}})
}

// sourcesOf returns what requeues objects besides the watches of the cache.
func sourcesOf(reconciler *Reconciler, engine *engine, options Options) []namedSource {
	sources := []namedSource{
		{"changes of health", reconciler.transitions.start},
		{"the cluster's own ranges", engine.ranges},
		{"EndpointSlices of Pods", reconciler.pods.start},
		{"ReferenceGrants", reconciler.services.grants.Start},
	}
	if len(options.WatchNamespaces) == 0 {
		sources = append(sources, namedSource{"ExternalServicePolicies", reconciler.policies.Start})
	}
	return sources
}

// controllerOptions bound the concurrent reconciles, in all and by namespace.
func controllerOptions(manager ctrl.Manager, options Options) controller.Options {
	limits := tenantqueue.LimitsFor(options.MaxConcurrentReconciles)
	return controller.Options{
		MaxConcurrentReconciles: limits.Workers(),
		NewQueue: func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
			return tenantqueue.New(priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) {
				o.RateLimiter, o.Log = limiter, manager.GetLogger().WithName("queue")
			}), limits)
		},
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](shortPause, longPause),
		// Tests run several managers in one process.
		SkipNameValidation: ptr.To(true),
	}
}

// addNotifier adds what sends alerts, if there are receivers.
func addNotifier(manager ctrl.Manager, options Options) error {
	live, err := client.New(manager.GetConfig(), client.Options{HTTPClient: manager.GetHTTPClient(), Scheme: manager.GetScheme(), Mapper: manager.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("create the client for the record of alerts: %w", err)
	}
	notifier, err := alerting.New(manager.GetCache(), live, clock.RealClock{}, alerting.Config{
		AlertmanagerURLs:       options.AlertmanagerURLs,
		AlertmanagerHTTPConfig: options.AlertmanagerHTTPConfig,
		Labels:                 options.AlertLabels,
		RunbookURL:             options.RunbookURL,
		WebhookURLs:            options.WebhookURLs,
		WebhookHTTPConfig:      options.WebhookHTTPConfig,
		Namespace:              operatorNamespace(options),
	})
	if err != nil || notifier == nil {
		return err
	}
	if err := measureWhileRunning(manager, notifier.Collectors()); err != nil {
		return err
	}
	return wrapped(manager.Add(notifier), "add the notifier")
}

// operatorNamespace is where the operator keeps objects of its own; empty if it is not
// known, as outside of a Pod.
func operatorNamespace(options Options) string {
	if options.LeaderElectionNamespace != "" {
		return options.LeaderElectionNamespace
	}
	name, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return string(name)
}

// measureWhileRunning registers metrics while the manager leads. A replica that waits to become
// the leader has nothing to report.
func measureWhileRunning(manager ctrl.Manager, collectors []prometheus.Collector) error {
	err := manager.Add(crmanager.RunnableFunc(func(ctx context.Context) error {
		for _, collector := range collectors {
			if err := metrics.Registry.Register(collector); err != nil {
				return fmt.Errorf("register metrics: %w", err)
			}
			defer metrics.Registry.Unregister(collector)
		}
		<-ctx.Done()
		return nil
	}))
	return wrapped(err, "add the metrics")
}

// metricsOptions makes the API server decide who may read the metrics, or requires a client
// certificate.
func metricsOptions(options Options) (metricsserver.Options, error) {
	serverOptions := metricsserver.Options{BindAddress: options.MetricsBindAddress, SecureServing: true, CertDir: options.MetricsCertDir}
	if options.MetricsClientCA == "" {
		serverOptions.FilterProvider = filters.WithAuthenticationAndAuthorization
		return serverOptions, nil
	}
	text, err := os.ReadFile(options.MetricsClientCA)
	if err != nil {
		return serverOptions, fmt.Errorf("--metrics-client-ca: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(text) {
		return serverOptions, fmt.Errorf("--metrics-client-ca=%s: contains no certificate: write PEM, with BEGIN CERTIFICATE lines", options.MetricsClientCA)
	}
	serverOptions.TLSOpts = []func(*tls.Config){func(config *tls.Config) {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, authorities
	}}
	return serverOptions, nil
}

// addHealth makes the operator ready once its caches are filled, and alive as long as it
// answers.
func addHealth(manager ctrl.Manager) error {
	synced := func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()
		if !manager.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet")
		}
		return nil
	}
	return errors.Join(
		manager.AddHealthzCheck("ping", healthz.Ping),
		manager.AddReadyzCheck("caches", synced),
	)
}
