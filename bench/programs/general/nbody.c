// A sun and four planets under Newton's law, by a symplectic integrator.
#include <math.h>

#include "../bench.h"

enum { kBodies = 5 };

typedef struct {
  double position[3], velocity[3], mass;
} Body;

static void advance(Body* bodies, double dt) {
  for (int i = 0; i < kBodies; ++i) {
    Body* a = &bodies[i];
    for (int j = i + 1; j < kBodies; ++j) {
      Body* b = &bodies[j];
      double dx = a->position[0] - b->position[0];
      double dy = a->position[1] - b->position[1];
      double dz = a->position[2] - b->position[2];
      double square = dx * dx + dy * dy + dz * dz;
      double pull = dt / (square * sqrt(square));
      a->velocity[0] -= dx * b->mass * pull;
      a->velocity[1] -= dy * b->mass * pull;
      a->velocity[2] -= dz * b->mass * pull;
      b->velocity[0] += dx * a->mass * pull;
      b->velocity[1] += dy * a->mass * pull;
      b->velocity[2] += dz * a->mass * pull;
    }
  }
  for (int i = 0; i < kBodies; ++i) {
    for (int axis = 0; axis < 3; ++axis) bodies[i].position[axis] += dt * bodies[i].velocity[axis];
  }
}

int main(int argc, char** argv) {
  int steps = bench_start(argc, argv, 20000000, 600000);
  Body bodies[kBodies] = {{{0, 0, 0}, {0, 0, 0}, 40}};
  for (int i = 1; i < kBodies; ++i) {
    double radius = 2.5 * i * i;
    double speed = sqrt(bodies[0].mass / radius);
    Body planet = {{radius, 0, 0.1 * i}, {0.01 * i, speed, 0}, 0.04 / i};
    bodies[i] = planet;
  }
  for (int s = 0; s < steps; ++s) advance(bodies, 0.001);
  for (int i = 0; i < kBodies; ++i) {
    bench_add_doubles(bodies[i].position, 3);
    bench_add_doubles(bodies[i].velocity, 3);
  }
  return bench_finish("nbody");
}
