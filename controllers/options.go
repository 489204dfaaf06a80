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
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/guard"
)

// Options are the operator's settings. Their zero value is not valid: begin with
// NewOptions.
type Options struct {
	// MetricsBindAddress is where metrics are served over TLS to those who may get
	// /metrics; "0" serves none.
	MetricsBindAddress string
	// MetricsClientCA is a file with the authorities whose clients may read the metrics, by
	// a certificate, instead of those whom the API server lets; empty means the latter.
	MetricsClientCA string
	// PprofBindAddress is where profiles of the process are served, to everybody who gets
	// there; empty or "0" serves none.
	PprofBindAddress string
	// MetricsCertDir holds tls.crt and tls.key, by which metrics are served, and which may be
	// rotated; empty means a certificate that the operator signs itself at each start.
	MetricsCertDir string
	// PerEndpointMetrics adds metrics with a series for each endpoint.
	PerEndpointMetrics bool
	// HealthBindAddress is where /healthz and /readyz are served; "0" serves none.
	HealthBindAddress string
	// WatchNamespaces are the only namespaces that are looked at; empty means all. Nothing
	// outside of them is read then, neither what the cluster's own ranges are nor
	// ExternalServicePolicies.
	WatchNamespaces []string
	// LeaderElect makes one of several replicas do the work.
	LeaderElect bool
	// LeaderElectionNamespace holds the lease; empty means the operator's own namespace,
	// which is known in a Pod only.
	LeaderElectionNamespace string
	// MaxConcurrentReconciles bounds how many ExternalServices are carried out at one
	// time, besides those whose writes the API server is slow to answer.
	MaxConcurrentReconciles int
	// MaxEndpointsPerSlice is the most endpoints in an EndpointSlice whose
	// ExternalService says nothing about it, from 1 to 1000.
	MaxEndpointsPerSlice int
	// MaxProbesInFlight bounds the probes under way at one time; a quarter of it those of
	// endpoints that are steadily down and slow to fail.
	MaxProbesInFlight int
	// MaxProbesInFlightPerNamespace bounds those of the ExternalServices of a namespace.
	MaxProbesInFlightPerNamespace int
	// MaxProbesInFlightPerDestination bounds those of a namespace to one address or name.
	MaxProbesInFlightPerDestination int
	// MaxWatches bounds the connections held for endpoints that say by themselves when
	// they change.
	MaxWatches int
	// MaxTLSHandshakes bounds the TLS handshakes that compute at one time; 0 means 1 for each
	// processor.
	MaxTLSHandshakes int
	// Guard says when failures are taken for the operator's own.
	Guard guard.Options
	// WatchGateway has default gateways asked by echo requests whether they are there.
	WatchGateway bool
	// Canaries are probe URLs of what is always there. While all of them fail, the
	// operator's network is taken to be down.
	Canaries []string
	// AlertmanagerURLs are those of the Alertmanagers that are told of alerts, each of them
	// of all.
	AlertmanagerURLs []string
	// AlertLabels are put on all alerts that Alertmanagers are told of.
	AlertLabels map[string]string
	// RunbookURL is where people find docs/runbook.md, for alerts to refer to.
	RunbookURL string
	// WebhookURLs are told of alerts by CloudEvents.
	WebhookURLs []string
	// AlertmanagerHTTPConfig and WebhookHTTPConfig name files that say how to log in there
	// and whom to trust, in the form of Prometheus' http_config; empty means none.
	AlertmanagerHTTPConfig, WebhookHTTPConfig string
	// NameServers resolve the DNS names of endpoints; those of the operator's host if there
	// are none.
	NameServers []netip.AddrPort
	// MissingNameGrace is how long the addresses of a DNS name are kept that does not exist
	// any more.
	MissingNameGrace time.Duration
	// RemovedCredentialGrace is how long a credential or a client key is used whose Secret has
	// been deleted, or holds it no longer.
	RemovedCredentialGrace time.Duration
	// Egress says which addresses may be probed and published, save for the cluster's own
	// ranges, which the operator finds out.
	Egress probes.EgressRules
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
		MissingNameGrace:                probes.DefaultMissingGrace,
		RemovedCredentialGrace:          defaultRemovedCredentialGrace,
	}
}

// AddFlags makes the options settable by flags. Their present values are the defaults.
func (o *Options) AddFlags(flags *flag.FlagSet) {
	flags.StringVar(&o.MetricsBindAddress, "metrics-bind-address", o.MetricsBindAddress, "Address to serve metrics at over TLS, to those who may get /metrics. 0 serves none.")
	flags.StringVar(&o.MetricsClientCA, "metrics-client-ca", o.MetricsClientCA, "File with the certificates of authorities. Metrics are then served to clients with a certificate of one of them, and the API server is not asked who may get /metrics.")
	flags.StringVar(&o.PprofBindAddress, "pprof-bind-address", o.PprofBindAddress, "Address to serve profiles of the process at (net/http/pprof), without any authentication, such as localhost:6060. Left out, none are served.")
	flags.StringVar(&o.MetricsCertDir, "metrics-cert-dir", o.MetricsCertDir, "Folder with tls.crt and tls.key to serve metrics by. They may be rotated. Left out, the operator signs a certificate itself at each start.")
	flags.BoolVar(&o.PerEndpointMetrics, "per-endpoint-metrics", o.PerEndpointMetrics, "Add metrics with a series for each endpoint: whether it is up, how long its last probe took, and when its certificate expires.")
	flags.StringVar(&o.HealthBindAddress, "health-probe-bind-address", o.HealthBindAddress, "Address to serve /healthz and /readyz at. 0 serves none.")
	flags.Func("watch-namespaces", "Namespaces to look at, separated by commas, instead of all. The operator then needs no rights but in these, and keeps to no ExternalServicePolicies. It cannot find out the cluster's own ranges: name them in --denied-cidrs. May be given several times.", o.addNamespaces)
	flags.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "Have one of several replicas do the work.")
	flags.StringVar(&o.LeaderElectionNamespace, "leader-election-namespace", o.LeaderElectionNamespace, "Namespace of the leader election lease. Left out, it is the operator's own, which is known in a Pod only.")
	flags.IntVar(&o.MaxConcurrentReconciles, "max-concurrent-reconciles", o.MaxConcurrentReconciles, "How many ExternalServices are carried out at one time, besides those whose writes the API server is slow to answer: each namespace may have as many of these, and all together 16 times as many.")
	flags.IntVar(&o.MaxEndpointsPerSlice, "max-endpoints-per-slice", o.MaxEndpointsPerSlice, "Most endpoints in an EndpointSlice whose ExternalService says nothing about it, from 1 to 1000.")
	flags.IntVar(&o.MaxProbesInFlight, "max-probes-in-flight", o.MaxProbesInFlight, "Most probes under way at one time; a quarter of it for endpoints that are steadily down and slow to fail.")
	flags.IntVar(&o.MaxProbesInFlightPerNamespace, "max-probes-in-flight-per-namespace", o.MaxProbesInFlightPerNamespace, "Most probes under way at one time for the ExternalServices of one namespace.")
	flags.IntVar(&o.MaxProbesInFlightPerDestination, "max-probes-in-flight-per-destination", o.MaxProbesInFlightPerDestination, "Most probes under way at one time to one address or name, for the ExternalServices of one namespace.")
	flags.IntVar(&o.MaxWatches, "max-watches", o.MaxWatches, "Most connections held for endpoints whose URL says watch=true. Others are probed all the same.")
	flags.IntVar(&o.MaxTLSHandshakes, "max-tls-handshakes", o.MaxTLSHandshakes, "Most TLS handshakes, and logins, that compute at one time. 0 means 1 for each processor.")
	flags.Float64Var(&o.Guard.Share, "guard-share", o.Guard.Share, "Share of the addresses, of all that were probed since one of them began to fail, that must fail in the same way for the operator's own network to be taken for lost.")
	flags.IntVar(&o.Guard.Networks, "guard-networks", o.Guard.Networks, "How many networks (/24, or /48 for IPv6) the failures must be in.")
	flags.Float64Var(&o.Guard.Release, "guard-release", o.Guard.Release, "Share of the failing addresses that must be well again for endpoints to be taken out again.")
	flags.DurationVar(&o.Guard.MaxHold, "guard-max-hold", o.Guard.MaxHold, "Longest time for which endpoints that fail are not taken out because the operator's own network seems to be lost.")
	flags.BoolVar(&o.WatchGateway, "watch-gateway", o.WatchGateway, "Send the operator's default gateways an echo request twice a second. While all of those that used to answer are silent, no endpoint is taken out.")
	flags.Func("canary", "Probe URL of something that is always there, such as tcp://10.0.0.1:53. While all of them fail, no endpoint is taken out. May be given several times.", func(url string) error {
		o.Canaries = append(o.Canaries, url)
		return nil
	})
	flags.Func("alertmanager-url", "URL of an Alertmanager to tell of endpoints that are down and Services that are not available, such as https://alertmanager.monitoring:9093. May be given several times, once for each replica.", receiverInto(&o.AlertmanagerURLs))
	flags.StringVar(&o.AlertmanagerHTTPConfig, "alertmanager-http-config", o.AlertmanagerHTTPConfig, "File that says how to log in to Alertmanagers and whom to trust, in the form of Prometheus' http_config (authorization, basic_auth, tls_config and others).")
	flags.Func("alert-label", "Label that all alerts carry, such as cluster=eu-1. May be given several times.", o.addAlertLabel)
	flags.StringVar(&o.RunbookURL, "runbook-url", o.RunbookURL, "Where people find docs/runbook.md of this repository, such as https://git.example.com/platform/farpoint/blob/main/docs/runbook.md. Alerts refer to their entry in it, by the annotation runbook_url.")
	flags.Func("webhook-url", "URL to post a CloudEvent to when an endpoint goes down or up and when a Service stops or begins to be available. May be given several times.", receiverInto(&o.WebhookURLs))
	flags.StringVar(&o.WebhookHTTPConfig, "webhook-http-config", o.WebhookHTTPConfig, "File like that of --alertmanager-http-config, for webhooks.")
	flags.Func("resolver", "Name server to resolve DNS names by, such as 10.0.0.53 or 10.0.0.53:5353, instead of those in /etc/resolv.conf. May be given several times.", o.addNameServer)
	flags.DurationVar(&o.MissingNameGrace, "missing-name-grace", o.MissingNameGrace, "How long the addresses of a DNS name are kept that does not exist any more (NXDOMAIN).")
	flags.DurationVar(&o.RemovedCredentialGrace, "removed-credential-grace", o.RemovedCredentialGrace, "How long probes go on with a credential or a client key whose Secret has been deleted, or holds it no longer. 0 ends that with the next look at the Secret.")
	flags.Func("allowed-cidrs", "Ranges, separated by commas, whose addresses may be probed and published although a larger range that they are in is refused: one of --denied-cidrs, or the cluster's own. May be given several times.", prefixesInto(&o.Egress.Allowed))
	flags.Func("denied-cidrs", "Ranges, separated by commas, whose addresses may be neither probed nor published, save for smaller ones in --allowed-cidrs. May be given several times.", prefixesInto(&o.Egress.Denied))
	flags.BoolVar(&o.Egress.AllowLoopbackProbes, "allow-loopback-probes", o.Egress.AllowLoopbackProbes, "Let probe URLs reach the operator's own host. For development and demos only.")
}

// Validate returns all that is wrong with the options.
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
		// The metrics server would fall back to a certificate of its own.
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
			return fmt.Errorf("%q is no name of a namespace: %s", name, faults[0])
		}
		if !slices.Contains(o.WatchNamespaces, name) {
			o.WatchNamespaces = append(o.WatchNamespaces, name)
		}
	}
	return nil
}

// receiverInto reads the URL of somebody who is told of alerts.
func receiverInto(list *[]string) func(string) error {
	return func(value string) error {
		u, err := url.Parse(value)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return errors.New("must be a URL such as https://receiver.example:443/path")
		case u.User != nil:
			return errors.New("must not hold a user name or password, which would show among the process' arguments: use a file of http_config")
		}
		*list = append(*list, value)
		return nil
	}
}

func (o *Options) addAlertLabel(value string) error {
	name, text, ok := strings.Cut(value, "=")
	if !ok || !model.LegacyValidation.IsValidLabelName(name) {
		return errors.New("must be name=value, with a name of letters, digits and underscores")
	}
	if alerting.ReservedLabel(name) {
		return fmt.Errorf("%s is a label that alerts have by themselves: choose another name", name)
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
			prefix, err := parsePrefix(strings.TrimSpace(text))
			if err != nil {
				return err
			}
			*list = append(*list, prefix)
		}
		return nil
	}
}
