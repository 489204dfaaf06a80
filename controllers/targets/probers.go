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

package targets

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/scheduler"
)

// Probing is what the endpoints of an ExternalService are probed by.
type Probing struct {
	// Sound are the definitions, the latest first.
	Sound []*Definition
	// Fault is what keeps endpoints from being probed by the present definition, if they are
	// not; nil if nothing does.
	Fault *endpoint.Rejection
	// Before is how they were probed up to now.
	Before *proberList
}

// present returns the definition of the spec as it is; nil if that has a fault.
func (p Probing) present() *Definition {
	if len(p.Sound) == 0 || p.Fault != nil && p.Fault.Reason == farpointv1.InvalidHealthCheckReason {
		return nil
	}
	return p.Sound[0]
}

// preparedProber is how an endpoint is probed.
type preparedProber struct {
	// key is the name of the endpoint.
	key      string
	Identity scheduler.Identity
	// Prober is nil if it has to be prepared again, or if the endpoint is disabled.
	Prober probes.Prober
	// url and definition are what it was prepared by, or would be if it could; definition is
	// nil if there is none.
	url        string
	definition *Definition
	// private: the prober makes use of something that other namespaces may not know.
	private bool
}

// candidate is an endpoint that may be accepted, and how it is probed.
type candidate struct {
	endpoint.Endpoint
	preparedProber
}

// proberList finds the prober of an endpoint.
type proberList struct {
	List   []preparedProber
	byName map[string]int
}

// find looks first where the endpoint was if no other was added or removed before it.
func (l *proberList) find(index int, name string) *preparedProber {
	if l == nil {
		return nil
	}
	if index < len(l.List) && l.List[index].key == name {
		return &l.List[index]
	}
	if l.byName == nil {
		l.byName = make(map[string]int, len(l.List))
		for i := range l.List {
			l.byName[l.List[i].key] = i
		}
	}
	if i, ok := l.byName[name]; ok {
		return &l.List[i]
	}
	return nil
}

// ForgetProbers makes the next plan prepare all probers again.
func (l *proberList) ForgetProbers() {
	l.List = slices.Clone(l.List) // targets may share it
	for i := range l.List {
		l.List[i].Prober = nil
	}
}

// ActiveProbers returns the probers of the endpoints that are probed.
func (t *Targets) ActiveProbers() proberList {
	isDisabled := func(prepared preparedProber) bool { return prepared.Prober == nil }
	if !slices.ContainsFunc(t.Probers, isDisabled) {
		return proberList{List: t.Probers}
	}
	return proberList{List: slices.DeleteFunc(slices.Clone(t.Probers), isDisabled)}
}

// attachProber gives an endpoint its prober, unless it is disabled. The prober is made from the
// first of these that works: the present definition, the one that the endpoint was probed by
// before, and for a new endpoint the last sound one. If none works, an endpoint that was
// published is only watched for its death. attachProber returns what is wrong with the present
// definition of this endpoint; the endpoint is held if it is probed nevertheless.
func (p Planner) attachProber(c *candidate, spec *farpointv1.ExternalServiceSpec, by Probing, prior *slicestate.Prior) *endpoint.Rejection {
	if c.Spec.State == farpointv1.EndpointDisabled {
		return nil
	}
	before := by.Before.find(c.Index, c.Name)
	refused := by.Fault
	if present := by.present(); present != nil {
		if refused = p.prepare(c, urlOf(c.Spec, spec.HealthCheckURL), present, before); refused == nil {
			return p.checkCredentials(c, present)
		}
	}
	if refused.Reason == farpointv1.NotAllowedByPolicyReason {
		return refused // what a policy refuses is no mistake in an edit
	}
	// A fault of the check as a whole is not this endpoint's.
	ofCheck := refused.Reason == farpointv1.InvalidHealthCheckReason || refused.Reason == farpointv1.CertificatesUnavailableReason
	if before != nil && before.definition != nil {
		switch rejection := p.prepare(c, before.url, before.definition, before); {
		case rejection == nil && ofCheck:
			return nil
		case rejection == nil:
			c.Held = true
			return refused
		case rejection.Reason == farpointv1.NotAllowedByPolicyReason:
			return rejection
		}
	} else if refused.Reason != farpointv1.InvalidHealthCheckURLReason {
		for _, sound := range by.Sound {
			if p.prepare(c, urlOf(c.Spec, sound.Url), sound, before) == nil {
				c.Held = !ofCheck
				return heldBy(c, refused)
			}
		}
	}
	if _, published := prior.State(&c.Endpoint); before != nil || published {
		p.watchForDeath(c, before)
		c.Held, c.Unprobed = true, true
	}
	return refused
}

// heldBy returns the rejection of an endpoint that is probed nevertheless, if it is held.
func heldBy(c *candidate, refused *endpoint.Rejection) *endpoint.Rejection {
	if c.Held {
		return refused
	}
	return nil
}

// checkCredentials returns what is wrong with the Secret of an endpoint that is probed by the
// present definition: it may no longer hold the credentials, which are used for a while.
func (p Planner) checkCredentials(c *candidate, by *Definition) *endpoint.Rejection {
	if by.Settings.login.Fault == "" || !protocol.TakesCredentials(c.url) {
		return nil
	}
	c.Held = true
	return &endpoint.Rejection{Reason: farpointv1.CredentialsUnavailableReason, Message: by.Settings.login.Fault}
}

func urlOf(endpoint *farpointv1.Endpoint, common farpointv1.HealthCheckURL) string {
	switch {
	case endpoint.HealthCheckURL != "":
		return string(endpoint.HealthCheckURL)
	case common != "":
		return string(common)
	}
	return "tcp://"
}

// prepare gives an endpoint the prober of a definition, and reuses the one from before if that
// does the same.
func (p Planner) prepare(c *candidate, url string, by *Definition, before *preparedProber) *endpoint.Rejection {
	common := &by.Settings
	probe := definitionOf(&c.Endpoint, url, common)
	takesCredentials := protocol.TakesCredentials(url)
	switch {
	case takesCredentials && common.login.Fault != "" && common.login.Credentials == nil:
		return &endpoint.Rejection{Reason: farpointv1.CredentialsUnavailableReason, Message: common.login.Fault}
	case by.trust.Unavailable && protocol.UsesTLS(probe):
		return &endpoint.Rejection{Reason: farpointv1.CertificatesUnavailableReason, Message: by.trust.Fault}
	case takesCredentials:
		probe.Credentials = common.login.Credentials
	}
	identity := IdentityOf(probe, *common)
	if p.limits != nil && policy.MayLeaveTarget(&probe) {
		identity = identityWithin(identity, p.limits)
	}
	prober := before.same(identity)
	if prober == nil {
		var err error
		if prober, err = p.Registry.New(probe); err != nil {
			if refused := policy.RejectionFor(err); refused != nil {
				return refused
			}
			reason := farpointv1.InvalidHealthCheckURLReason
			if errors.Is(err, protocol.ErrCredentialsWithheld) {
				reason = farpointv1.CredentialsWithheldReason
			}
			return &endpoint.Rejection{Reason: reason, Message: err.Error()}
		}
	}
	c.preparedProber = preparedProber{c.Name, identity, prober, url, by, common.private}
	return nil
}

// same returns the prober if it does what one with this identity does; nil if not.
func (b *preparedProber) same(identity scheduler.Identity) probes.Prober {
	if b == nil || b.Identity != identity {
		return nil
	}
	return b.Prober
}

// watchForDeath gives an endpoint that cannot be probed a prober that only finds out whether it
// accepts connections. How it was probed before is remembered.
func (p Planner) watchForDeath(c *candidate, before *preparedProber) {
	probe := definitionOf(&c.Endpoint, "", &Settings{})
	digest := sha256.Sum256(fmt.Appendf(nil, "reachability %s %d %s", probe.Address, probe.Port, probe.Name))
	identity := scheduler.Identity(digest[:len(scheduler.Identity{})])
	if p.limits != nil {
		identity = identityWithin(identity, p.limits)
	}
	c.preparedProber = preparedProber{key: c.Name, Identity: identity, Prober: before.same(identity)}
	if c.Prober == nil {
		c.Prober = p.Registry.NewReachability(probe, probes.ReasonUnsoundDefinition)
	}
	if before != nil {
		c.url, c.definition = before.url, before.definition
	}
}

func definitionOf(e *endpoint.Endpoint, url string, common *Settings) protocol.Definition {
	name := e.Spec.ServerName
	if e.Resolved != nil {
		name = e.Resolved.Name
	}
	return protocol.Definition{
		Name:    name,
		URL:     url,
		Address: e.Address,
		Port:    e.Ports.FirstOf(corev1.ProtocolTCP),
		UDPPort: e.Ports.FirstOf(corev1.ProtocolUDP),
		Proxy:   common.proxy,

		HTTP:     common.http,
		TLS:      common.tls,
		TCP:      common.tcp,
		UDP:      common.udp,
		GRPC:     common.grpc,
		DNS:      common.dns,
		Postgres: common.postgres,
		MySQL:    common.mysql,
		Redis:    common.redis,

		SendCredentialsToUnverifiedServers: common.sendUnverified,
	}
}
