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

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// stage is where the story is played: what runs, what is seen of it, and who watches.
type stage struct {
	screen   screen
	backends []*backend
	operator *operator
	observer *observer
	world    *world
	story    *story
	// news are the last changes, as printed.
	news []string
	// listed is when kubectl get was last answered.
	listed time.Time
}

// play runs the demo until the context is done or, unless the limit is zero, until that
// is over, counted from when the control plane is up. Nothing is left when it returns.
func play(ctx context.Context, screen screen, limit time.Duration) error {
	ctrl.SetLogger(logr.Discard())
	s := &stage{screen: screen, world: newWorld(), story: newStory(addresses())}
	err := s.run(ctx, limit)
	screen.say(s.story.summary())
	return err
}

// run starts everything, plays the story, and ends what it started in the opposite order.
func (s *stage) run(ctx context.Context, limit time.Duration) (err error) {
	folder, err := os.MkdirTemp("", "farpoint-demo-")
	if err != nil {
		return err
	}
	finally := func(end func() error) { err = errors.Join(err, end()) }
	defer finally(func() error { return os.RemoveAll(folder) })

	plane, err := newControlPlane(folder)
	if err != nil {
		return err
	}
	s.screen.say(introduction)
	defer finally(plane.stop)
	if err := s.raise(ctx, plane); err != nil {
		return err
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if s.backends, err = newBackends(ctx); err != nil {
		return err
	}
	defer stopAll(s.backends)
	s.step("starting the operator; its log is " + filepath.Join(folder, "operator.log"))
	if s.operator, err = startOperator(plane.kubeconfig, filepath.Join(folder, "operator.log")); err != nil {
		return err
	}
	defer finally(s.operator.stop)
	defer s.bow()
	if err := s.perform(ctx, plane, folder); ctx.Err() == nil {
		return err
	}
	if missing := s.story.missing(s.world.conditions); missing != "" {
		return fmt.Errorf("the time of DEMO_SECONDS=%.0f is over: %s", limit.Seconds(), missing)
	}
	return nil
}

// raise starts the control plane.
func (s *stage) raise(ctx context.Context, plane *controlPlane) error {
	s.step("starting a control plane of its own: etcd and kube-apiserver")
	patience := context.AfterFunc(ctx, func() {
		s.screen.say("Stopping as soon as the control plane is up: it cannot be stopped before.")
	})
	defer patience()
	if err := plane.start(ctx, namespace); err != nil {
		return err
	}
	s.step("the control plane is up")
	return nil
}

// perform creates the ExternalService and plays the story, until the context is done.
func (s *stage) perform(ctx context.Context, plane *controlPlane, folder string) error {
	var err error
	if s.observer, err = newObserver(plane.config); err != nil {
		return err
	}
	watching, cancel := context.WithCancel(ctx)
	sightings, wait, err := s.observer.watch(watching)
	if err != nil {
		cancel()
		return err
	}
	defer func() { cancel(); wait() }()

	var urls []string
	for _, each := range s.backends {
		urls = append(urls, each.url())
	}
	object := externalService(urls)
	text, err := manifest(object)
	if err != nil {
		return err
	}
	file := filepath.Join(folder, name+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	s.step("creating this ExternalService:")
	if err := s.observer.apply(ctx, object); err != nil {
		return err
	}
	s.screen.say("\n" + indent(text) + "\n" + guide(plane.kubectl, plane.kubeconfig, file))
	return s.loop(ctx, sightings)
}

// loop plays the story until the context is done.
func (s *stage) loop(ctx context.Context, sightings <-chan sighting) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	s.listed = time.Now()
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return nil
		case <-s.operator.died:
			return s.operator.obituary()
		case seen := <-sightings:
			now = seen.at
			s.tell(now, s.world.observe(seen))
			if _, ok := seen.object.(*farpointv1.ExternalService); ok {
				s.list(ctx)
			}
		case now = <-ticker.C:
		}
		if now.Sub(s.listed) > time.Second {
			s.list(ctx)
		}
		if silence := now.Sub(s.listed); silence > 10*time.Second {
			return fmt.Errorf("the API server has not answered for %s", silence.Round(time.Second))
		}
		if err := s.advance(ctx, now); err != nil {
			return err
		}
		s.screen.draw(s.view(now))
	}
}

// advance does what the story asks for.
func (s *stage) advance(ctx context.Context, now time.Time) error {
	cue, changes := s.story.advance(now, s.world.conditions)
	s.tell(now, changes)
	actor := s.backends[s.story.actor]
	switch cue {
	case stopBackend:
		actor.stop()
		s.tell(now, []change{{source: "backend", text: fmt.Sprintf("stopped the one of %s (%s)", s.story.address(), actor.address)}})
	case startBackend:
		if err := actor.start(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		s.tell(now, []change{{source: "backend", text: fmt.Sprintf("started the one of %s (%s) again", s.story.address(), actor.address)}})
	}
	return nil
}

// list asks for what kubectl get prints. Silence is dealt with by the caller.
func (s *stage) list(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if listing, err := s.observer.list(ctx); err == nil {
		s.listed = time.Now()
		s.tell(s.listed, s.world.list(listing))
	}
}

func (s *stage) tell(now time.Time, changes []change) {
	const kept = 20
	for _, each := range changes {
		text := stamped(now, each)
		s.screen.tell(text)
		s.news = append(s.news, text)
	}
	s.news = s.news[max(len(s.news)-kept, 0):]
}

// step says what is being done before there is anything to see.
func (s *stage) step(text string) {
	s.screen.say(stamped(time.Now(), change{source: "demo", text: text}))
}

// bow is the end of the show.
func (s *stage) bow() {
	s.screen.hold()
	s.screen.say("\nStopping the operator, the backends and the control plane.")
}

func (s *stage) view(now time.Time) view {
	made := view{scene: s.story.scene(now), listed: s.world.listed, news: s.news}
	for i, place := range places {
		published, ok := s.world.conditions(place.address)
		made.rows = append(made.rows, row{
			address: place.address, zone: place.zone,
			up:        s.backends[i].up(),
			published: published, absent: !ok,
			health: s.world.health(place.address),
		})
	}
	return made
}

func addresses() []string {
	all := make([]string, len(places))
	for i, place := range places {
		all[i] = place.address
	}
	return all
}
