package auth

// WaitingEnrolments returns the number of enrolments that wait for a transaction.
func (s *Service) WaitingEnrolments() int {
	s.enrolments.mu.Lock()
	defer s.enrolments.mu.Unlock()
	return len(s.enrolments.waiting)
}

// FillEnrolments fills the queue of enrolments, and returns a function that empties it.
func (s *Service) FillEnrolments() (empty func()) {
	set := func(n int) {
		s.enrolments.mu.Lock()
		defer s.enrolments.mu.Unlock()
		s.enrolments.waiting = make([]*waitingEnrolment, n)
	}
	set(maxEnrolments)
	return func() { set(0) }
}
