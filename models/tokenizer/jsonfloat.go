package tokenizer

import (
	"math"
	"strconv"
	"strings"
)

// float reads a number as the library's JSON reader does, which is off by one
// in the last place for some numbers. It shows where two ways to cut a text have
// the same score but for rounding.
func (s *scanner) float() (float64, error) {
	negative := s.next() == '-'
	if negative {
		s.at++
	}
	significand, exponent, digits, full := uint64(0), 0, 0, false
	// read takes the digits before or after the point; those that do not fit
	// into 64 bits are dropped.
	read := func(fit, dropped int) {
		for ; s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9'; s.at++ {
			digits++
			digit := uint64(s.data[s.at] - '0')
			if full = full || significand > (math.MaxUint64-digit)/10; full {
				exponent += dropped
				continue
			}
			significand = significand*10 + digit
			exponent += fit
		}
	}
	read(0, 1)
	if s.at < len(s.data) && s.data[s.at] == '.' {
		s.at++
		read(-1, 0)
	}
	if digits == 0 {
		return 0, s.fail("expected a number")
	}
	if s.at < len(s.data) && (s.data[s.at] == 'e' || s.data[s.at] == 'E') {
		s.at++
		sign := 1
		if s.at < len(s.data) && strings.IndexByte("+-", s.data[s.at]) >= 0 {
			if s.data[s.at] == '-' {
				sign = -1
			}
			s.at++
		}
		n, err := s.integer()
		if err != nil {
			return 0, err
		}
		exponent += sign * min(n, 1<<20)
	}
	x := scale(float64(significand), exponent)
	if math.IsInf(x, 0) {
		return 0, s.fail("a number is too great")
	}
	if negative {
		x = -x
	}
	return x, nil
}

// scale multiplies by a power of ten in as few rounded steps as possible.
func scale(x float64, exponent int) float64 {
	for ; exponent < -308 && x != 0; exponent += 308 {
		x /= 1e308
	}
	switch {
	case exponent > 308 && x != 0:
		return math.Inf(1)
	case x == 0:
		return 0
	case exponent >= 0:
		return x * powerOfTen(exponent)
	}
	return x / powerOfTen(-exponent)
}

// powerOfTen is correctly rounded for all n up to 308, which math.Pow10 is not.
func powerOfTen(n int) float64 {
	if n < 23 {
		return math.Pow10(n)
	}
	x, err := strconv.ParseFloat("1e"+strconv.Itoa(n), 64)
	if err != nil {
		return math.Inf(1)
	}
	return x
}
