package pipeline

import (
	"errors"
	"math"
)

// sample is one row of a logistic regression; x[0] is 1.
type sample struct {
	x []float64
	y bool
}

// fitLogistic minimises the logistic loss with a ridge of 1e-3 on all
// coefficients but the intercept, by damped Newton steps (iteratively
// reweighted least squares). Coefficients are returned in the order of x.
func fitLogistic(samples []sample) ([]float64, error) {
	const ridge = 1e-3
	n := len(samples[0].x)
	w := make([]float64, n)
	loss := math.Inf(1)
	for range 100 {
		gradient := make([]float64, n)
		hessian := make([][]float64, n)
		for i := range hessian {
			hessian[i] = make([]float64, n)
			if i > 0 {
				hessian[i][i], gradient[i] = ridge, ridge*w[i]
			}
		}
		for _, s := range samples {
			p := 1 / (1 + math.Exp(-dot(w, s.x)))
			d := p
			if s.y {
				d = p - 1
			}
			for i := range n {
				gradient[i] += d * s.x[i]
				for j := range n {
					hessian[i][j] += p * (1 - p) * s.x[i] * s.x[j]
				}
			}
		}
		step, ok := solve(hessian, gradient)
		if !ok {
			return nil, errors.New("pipeline: fit profile: the scores do not separate right from wrong")
		}
		previous := loss
		for scale := 1.0; scale > 1e-6; scale /= 2 {
			trial := make([]float64, n)
			for i := range n {
				trial[i] = w[i] - scale*step[i]
			}
			if l := logisticLoss(samples, trial, ridge); l <= loss {
				w, loss = trial, l
				break
			}
		}
		if previous-loss < 1e-10 {
			return w, nil
		}
	}
	return w, nil
}

func logisticLoss(samples []sample, w []float64, ridge float64) float64 {
	loss := 0.0
	for _, c := range w[1:] {
		loss += ridge * c * c / 2
	}
	for _, s := range samples {
		z := dot(w, s.x)
		if s.y {
			z = -z
		}
		// ln(1 + exp(z)) without overflow
		loss += max(z, 0) + math.Log1p(math.Exp(-math.Abs(z)))
	}
	return loss
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// solve returns x with a*x = b by Gaussian elimination with pivoting; it
// changes its arguments. ok is false if a is singular.
func solve(a [][]float64, b []float64) (x []float64, ok bool) {
	n := len(b)
	for col := range n {
		pivot := col
		for row := col + 1; row < n; row++ {
			if math.Abs(a[row][col]) > math.Abs(a[pivot][col]) {
				pivot = row
			}
		}
		if math.Abs(a[pivot][col]) < 1e-12 {
			return nil, false
		}
		a[col], a[pivot] = a[pivot], a[col]
		b[col], b[pivot] = b[pivot], b[col]
		for row := col + 1; row < n; row++ {
			f := a[row][col] / a[col][col]
			for k := col; k < n; k++ {
				a[row][k] -= f * a[col][k]
			}
			b[row] -= f * b[col]
		}
	}
	x = make([]float64, n)
	for row := n - 1; row >= 0; row-- {
		x[row] = b[row]
		for k := row + 1; k < n; k++ {
			x[row] -= a[row][k] * x[k]
		}
		x[row] /= a[row][row]
	}
	return x, true
}
