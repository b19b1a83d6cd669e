package store

import (
	"context"
	"errors"
	"time"
)

const (
	// settingsRetry is the pause after a failed read of the settings.
	settingsRetry = time.Second
	// settingsTimeout limits one read of the settings.
	settingsTimeout = 10 * time.Second
)

// SettingsChanged makes FollowSettings read the settings again, because they may have changed. It does not wait.
func (s *Store) SettingsChanged() { s.settings.Notify() }

// FollowSettings reads the settings of the database after each call of SettingsChanged, until ctx ends: the retention,
// and from when on the data is complete. A read that fails is repeated. Maintain reads them too, once a minute.
func (s *Store) FollowSettings(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.settings:
		}
		for err := s.loadSettings(ctx); err != nil && ctx.Err() == nil; err = s.loadSettings(ctx) {
			s.logger.Warn("could not read the settings of the database, retrying", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(settingsRetry):
			}
		}
	}
}

// loadSettings reads the settings that this or another server has changed.
func (s *Store) loadSettings(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	return errors.Join(s.ensureRetention(ctx), s.backend.LoadFloors(ctx))
}
