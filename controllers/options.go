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
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/util/validation"

	"farpoint.dev/farpoint/controllers/alerting"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/references"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/guard"
	"farpoint.dev/farpoint/probes/resolver"
)

// Options are the operator's settings. Their zero value is not valid: start with NewOptions.
type Options struct {
	// MetricsBindAddress is where metrics are served over TLS, to accounts that may get /metrics;
	// "0" disables it.
	MetricsBindAddress string
	// MetricsClientCA is a file with CA certificates. Clients with a certificate of one of them
	// may read the metrics, instead of accounts that the API server authorizes. Empty means the
	// latter.
	MetricsClientCA string
	// PprofBindAddress is where profiles of the process are served, without authentication; empty
	// or "0" disables it.
	PprofBindAddress string
	// MetricsCertDir has tls.crt and tls.key for the metrics server, which may be rotated; empty
	// means a self-signed certificate that is new at each start.
	MetricsCertDir string
	// PerEndpointMetrics adds metrics with a series for each endpoint.
	PerEndpointMetrics bool
	// HealthBindAddress is where /healthz and /readyz are served; "0" disables it.
	HealthBindAddress string
	// WatchNamespaces are the watched namespaces; empty means all. If set, the operator reads
	// nothing outside of them, neither the cluster's own ranges nor ExternalServicePolicies.
	WatchNamespaces []string
	// LeaderElect makes one of several replicas the active one.
	LeaderElect bool
	// LeaderElectionNamespace has the lease; empty means the operator's own namespace, which is
	// known only in a Pod.
	LeaderElectionNamespace string
	// MaxConcurrentReconciles bounds how many ExternalServices are reconciled at the same time,
	// not counting those that wait for slow writes to the API server.
	MaxConcurrentReconciles int
	// MaxEndpointsPerSlice is the default for the maximum number of endpoints in an EndpointSlice,
	// from 1 to 1000.
	MaxEndpointsPerSlice int
	// MaxProbesInFlight bounds the concurrent probes; a quarter of it bounds those of endpoints
	// that are steadily down and slow to fail.
	MaxProbesInFlight int
	// MaxProbesInFlightPerNamespace bounds the concurrent probes for the ExternalServices of a
	// namespace.
	MaxProbesInFlightPerNamespace int
	// MaxProbesInFlightPerDestination bounds the concurrent probes of a namespace to one address
	// or name.
	MaxProbesInFlightPerDestination int
	// MaxWatches bounds the connections to endpoints that report their changes themselves.
	MaxWatches int
	// MaxTLSHandshakes bounds the TLS handshakes that compute at the same time; 0 means 1 for each
	// processor.
	MaxTLSHandshakes int
	// Guard defines when the operator attributes failures to its own network.
	Guard guard.Options
	// WatchGateway sends echo requests to the default gateways to check whether they are up.
	WatchGateway bool
	// Canaries are probe URLs of servers that are always up. While all of them fail, the operator
	// assumes that its own network is down.
	Canaries []string
	// AlertmanagerURLs are the URLs of Alertmanagers, each of which gets all alerts.
	AlertmanagerURLs []string
	// AlertLabels are added to all alerts for Alertmanagers.
	AlertLabels map[string]string
	// RunbookURL is the URL of docs/runbook.md that alerts link to.
	RunbookURL string
	// WebhookURLs get alerts as CloudEvents.
	WebhookURLs []string
	// AlertmanagerHTTPConfig and WebhookHTTPConfig are files with credentials and TLS settings, in
	// the format of Prometheus' http_config; empty means none.
	AlertmanagerHTTPConfig, WebhookHTTPConfig string
	// NameServers resolve the DNS names of endpoints; they default to those of the operator's
	// host.
	NameServers []netip.AddrPort
	// MissingNameGrace is how long the addresses of a DNS name are kept after the name has ceased
	// to exist.
	MissingNameGrace time.Duration
	// ReferencesInterval is how often the Secrets and ConfigMaps that health checks refer to are
	// read. It has no flag; tests shorten it.
	ReferencesInterval time.Duration
	// RemovedCredentialGrace is how long a credential or a client key is used after its Secret or
	// the key in it has been deleted.
	RemovedCredentialGrace time.Duration
	// Egress defines which addresses may be probed and published, except for the cluster's own
	// ranges, which the operator detects.
	Egress egress.Rules
}

// NewOptions returns the defaults.
func NewOptions() Options {
	return Options{
		MetricsBindAddress:      ":8443",
		HealthBindAddress:       ":8081",
		MaxConcurrentReconciles: 4,
		MaxEndpointsPerSlice:    100,
		MaxProbesInFlight:       4096,

		MaxProbesInFlightPerNamespace:   2048,
		MaxProbesInFlightPerDestination: 64,
		MaxWatches:                      2048,
		RunbookURL:                      alerting.DefaultRunbook,
		Guard:                           guard.DefaultOptions(),
		WatchGateway:                    true,
		MissingNameGrace:                resolver.DefaultMissingGrace,
		ReferencesInterval:              references.DefaultInterval,
		RemovedCredentialGrace:          references.DefaultGrace,
	}
}

// AddFlags registers a flag for each option. The current values are the defaults.
func (o *Options) AddFlags(flags *flag.FlagSet) {
	flags.StringVar(&o.MetricsBindAddress, "metrics-bind-address", o.MetricsBindAddress, "Address to serve metrics at over TLS, for accounts that may get /metrics. 0 disables it.")
	flags.StringVar(&o.MetricsClientCA, "metrics-client-ca", o.MetricsClientCA, "File with CA certificates. Metrics are then served to clients with a certificate of one of them, without authorization by the API server.")
	flags.StringVar(&o.PprofBindAddress, "pprof-bind-address", o.PprofBindAddress, "Address to serve profiles of the process at (net/http/pprof), without authentication, such as localhost:6060. Disabled by default.")
	flags.StringVar(&o.MetricsCertDir, "metrics-cert-dir", o.MetricsCertDir, "Folder with tls.crt and tls.key for the metrics server. They may be rotated. By default, the operator creates a self-signed certificate at each start.")
	flags.BoolVar(&o.PerEndpointMetrics, "per-endpoint-metrics", o.PerEndpointMetrics, "Add metrics with a series for each endpoint: whether it is up, how long its last probe took, and when its certificate expires.")
	flags.StringVar(&o.HealthBindAddress, "health-probe-bind-address", o.HealthBindAddress, "Address to serve /healthz and /readyz at. 0 disables it.")
	repeatable(flags, "watch-namespaces", "Namespaces to watch, separated by commas, instead of all. The operator then needs rights only in these, and does not enforce ExternalServicePolicies. It cannot detect the cluster's own ranges: list them in --denied-cidrs. May be repeated.", o.addNamespaces)
	flags.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "Elect one of several replicas as the active one.")
	flags.StringVar(&o.LeaderElectionNamespace, "leader-election-namespace", o.LeaderElectionNamespace, "Namespace of the leader election lease. It defaults to the operator's own namespace, which is known only in a Pod.")
	flags.IntVar(&o.MaxConcurrentReconciles, "max-concurrent-reconciles", o.MaxConcurrentReconciles, "Maximum number of ExternalServices that are reconciled at the same time, not counting those that wait for slow writes to the API server: each namespace may have as many of these, and all together 16 times as many.")
	flags.IntVar(&o.MaxEndpointsPerSlice, "max-endpoints-per-slice", o.MaxEndpointsPerSlice, "Default for the maximum number of endpoints in an EndpointSlice, from 1 to 1000. spec.endpointSlices.maxEndpoints overrides it.")
	flags.IntVar(&o.MaxProbesInFlight, "max-probes-in-flight", o.MaxProbesInFlight, "Maximum number of concurrent probes; a quarter of it for endpoints that are steadily down and slow to fail.")
	flags.IntVar(&o.MaxProbesInFlightPerNamespace, "max-probes-in-flight-per-namespace", o.MaxProbesInFlightPerNamespace, "Maximum number of concurrent probes for the ExternalServices of one namespace.")
	flags.IntVar(&o.MaxProbesInFlightPerDestination, "max-probes-in-flight-per-destination", o.MaxProbesInFlightPerDestination, "Maximum number of concurrent probes to one address or name, for the ExternalServices of one namespace.")
	flags.IntVar(&o.MaxWatches, "max-watches", o.MaxWatches, "Maximum number of watch connections, for endpoints with watch=true in their URL. Endpoints beyond it are only probed.")
	flags.IntVar(&o.MaxTLSHandshakes, "max-tls-handshakes", o.MaxTLSHandshakes, "Maximum number of TLS handshakes and logins that compute at the same time. 0 means 1 for each processor.")
	flags.Float64Var(&o.Guard.Share, "guard-share", o.Guard.Share, "Share of the addresses, of all that were probed since one of them started to fail, that must fail in the same way before the operator assumes that its own network is down.")
	flags.IntVar(&o.Guard.Networks, "guard-networks", o.Guard.Networks, "Minimum number of networks (/24, or /48 for IPv6) with such failures.")
	flags.Float64Var(&o.Guard.Release, "guard-release", o.Guard.Release, "Share of the failing addresses that must recover before the operator takes endpoints out again.")
	flags.DurationVar(&o.Guard.MaxHold, "guard-max-hold", o.Guard.MaxHold, "Maximum time for which failing endpoints stay published because the operator's own network seems to be down.")
	flags.BoolVar(&o.WatchGateway, "watch-gateway", o.WatchGateway, "Send the operator's default gateways an echo request twice a second. While all gateways that used to answer are silent, no endpoint is taken out.")
	repeatable(flags, "canary", "Probe URL of a server that is always up, such as tcp://10.0.0.1:53. While all canaries fail, no endpoint is taken out. May be repeated.", func(url string) error {
		o.Canaries = append(o.Canaries, url)
		return nil
	})
	repeatable(flags, "alertmanager-url", "URL of an Alertmanager for alerts about endpoints that are down and Services that are not available, such as https://alertmanager.monitoring:9093. May be repeated, once for each replica of Alertmanager.", receiverInto(&o.AlertmanagerURLs))
	flags.StringVar(&o.AlertmanagerHTTPConfig, "alertmanager-http-config", o.AlertmanagerHTTPConfig, "File with credentials and TLS settings for Alertmanagers, in the format of Prometheus' http_config (authorization, basic_auth, tls_config and others).")
	repeatable(flags, "alert-label", "Label for all alerts, such as cluster=eu-1. May be repeated.", o.addAlertLabel)
	flags.StringVar(&o.RunbookURL, "runbook-url", o.RunbookURL, "URL of docs/runbook.md of this repository, such as https://git.example.com/platform/farpoint/blob/main/docs/runbook.md. Alerts link to their entry in it, by the annotation runbook_url.")
	repeatable(flags, "webhook-url", "URL to post a CloudEvent to when an endpoint goes down or up and when a Service becomes unavailable or available. May be repeated.", receiverInto(&o.WebhookURLs))
	flags.StringVar(&o.WebhookHTTPConfig, "webhook-http-config", o.WebhookHTTPConfig, "File like --alertmanager-http-config, for webhooks.")
	repeatable(flags, "resolver", "Name server for DNS names, such as 10.0.0.53 or 10.0.0.53:5353, instead of those in /etc/resolv.conf. May be repeated.", o.addNameServer)
	flags.DurationVar(&o.MissingNameGrace, "missing-name-grace", o.MissingNameGrace, "How long the addresses of a DNS name are kept after it has ceased to exist (NXDOMAIN).")
	flags.DurationVar(&o.RemovedCredentialGrace, "removed-credential-grace", o.RemovedCredentialGrace, "How long probes use a credential or a client key after its Secret or the key in it has been deleted. 0 stops using it at the next read of the Secret.")
	repeatable(flags, "allowed-cidrs", "Ranges, separated by commas, whose addresses may be probed and published although a larger range is refused: one of --denied-cidrs, or of the cluster. May be repeated.", prefixesInto(&o.Egress.Allowed))
	repeatable(flags, "denied-cidrs", "Ranges, separated by commas, whose addresses may be neither probed nor published, except smaller ranges in --allowed-cidrs. May be repeated.", prefixesInto(&o.Egress.Denied))
	flags.BoolVar(&o.Egress.AllowLoopbackProbes, "allow-loopback-probes", o.Egress.AllowLoopbackProbes, "Let probe URLs reach the operator's own host. Only for development and demos.")
}

// repeatable registers a flag that may be given several times.
func repeatable(flags *flag.FlagSet, name, usage string, add func(string) error) {
	flags.Var(&repeatedFlag{add: add}, name, usage)
}

// repeatedFlag keeps the values of a flag, for the log to show.
type repeatedFlag struct {
	add    func(string) error
	values []string
}

// Set adds a value.
func (f *repeatedFlag) Set(value string) error {
	if err := f.add(value); err != nil {
		return err
	}
	f.values = append(f.values, value)
	return nil
}

// String returns all values so far, separated by commas.
func (f *repeatedFlag) String() string {
	return strings.Join(f.values, ",")
}

// Validate returns all errors in the options.
func (o *Options) Validate() error {
	var faults []error
	bounds := []struct {
		flag            string
		value, from, to int
	}{
		{"max-concurrent-reconciles", o.MaxConcurrentReconciles, 1, 1000},
		{"max-endpoints-per-slice", o.MaxEndpointsPerSlice, 1, 1000},
		{"max-probes-in-flight", o.MaxProbesInFlight, 1, 1 << 20},
		{"max-probes-in-flight-per-namespace", o.MaxProbesInFlightPerNamespace, 1, 1 << 20},
		{"max-probes-in-flight-per-destination", o.MaxProbesInFlightPerDestination, 1, 1 << 20},
		{"max-watches", o.MaxWatches, 1, 1 << 20},
		{"max-tls-handshakes", o.MaxTLSHandshakes, 0, 1 << 20},
		{"guard-networks", o.Guard.Networks, 1, 1 << 20},
	}
	for _, bound := range bounds {
		if bound.value < bound.from || bound.value > bound.to {
			faults = append(faults, fmt.Errorf("--%s=%d: must be from %d to %d", bound.flag, bound.value, bound.from, bound.to))
		}
	}
	if o.Guard.MaxHold <= 0 {
		faults = append(faults, fmt.Errorf("--guard-max-hold=%v: must be above 0", o.Guard.MaxHold))
	}
	if o.MissingNameGrace <= 0 {
		faults = append(faults, fmt.Errorf("--missing-name-grace=%v: must be above 0", o.MissingNameGrace))
	}
	if o.RemovedCredentialGrace < 0 {
		faults = append(faults, fmt.Errorf("--removed-credential-grace=%v: must not be negative", o.RemovedCredentialGrace))
	}
	for flag, share := range map[string]float64{"guard-share": o.Guard.Share, "guard-release": o.Guard.Release} {
		if !(share > 0 && share <= 1) { // nor NaN
			faults = append(faults, fmt.Errorf("--%s=%v: must be above 0 and at most 1", flag, share))
		}
	}
	for _, file := range []string{"tls.crt", "tls.key"} {
		if o.MetricsCertDir == "" {
			break
		}
		// The metrics server would fall back to a self-signed certificate.
		if _, err := os.Stat(filepath.Join(o.MetricsCertDir, file)); err != nil {
			faults = append(faults, fmt.Errorf("--metrics-cert-dir: %w", err))
		}
	}
	for _, prefix := range o.Egress.Allowed {
		if slices.Contains(o.Egress.Denied, prefix) {
			faults = append(faults, fmt.Errorf("%s is in --allowed-cidrs and in --denied-cidrs: remove it from one of them", prefix))
		}
	}
	return errors.Join(faults...)
}

func (o *Options) addNamespaces(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if faults := validation.IsDNS1123Label(name); len(faults) > 0 {
			return fmt.Errorf("%q is not the name of a namespace: %s", name, faults[0])
		}
		if !slices.Contains(o.WatchNamespaces, name) {
			o.WatchNamespaces = append(o.WatchNamespaces, name)
		}
	}
	return nil
}

// receiverInto reads the URL of a receiver of alerts.
func receiverInto(list *[]string) func(string) error {
	return func(value string) error {
		u, err := url.Parse(value)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return errors.New("must be a URL such as https://receiver.example:443/path")
		case u.User != nil:
			return errors.New("must not contain a user name or password, which would show in the process' arguments: put them into the file of --alertmanager-http-config or --webhook-http-config")
		}
		*list = append(*list, value)
		return nil
	}
}

func (o *Options) addAlertLabel(value string) error {
	name, text, ok := strings.Cut(value, "=")
	if !ok || !model.LegacyValidation.IsValidLabelName(name) {
		return errors.New("must be name=value, with a name of letters, digits and underscores, such as cluster=eu-1")
	}
	if alerting.ReservedLabel(name) {
		return fmt.Errorf("%s is a label that all alerts have: choose another name", name)
	}
	if o.AlertLabels == nil {
		o.AlertLabels = map[string]string{}
	}
	o.AlertLabels[name] = text
	return nil
}

func (o *Options) addNameServer(value string) error {
	server, err := netip.ParseAddrPort(value)
	if err != nil {
		addr, err := netip.ParseAddr(value)
		if err != nil {
			return errors.New("must be an address, or address:port, such as 10.0.0.53:53")
		}
		server = netip.AddrPortFrom(addr, 53)
	}
	o.NameServers = append(o.NameServers, server)
	return nil
}

// prefixesInto reads a flag's ranges.
func prefixesInto(list *[]netip.Prefix) func(string) error {
	return func(value string) error {
		for text := range strings.SplitSeq(value, ",") {
			prefix, err := policy.ParsePrefix(strings.TrimSpace(text))
			if err != nil {
				return err
			}
			*list = append(*list, prefix)
		}
		return nil
	}
}
