// SQL on a database in memory: inserts, indexed look-ups, joins, groups, updates, text. It needs
// SQLite's amalgamation, sqlite3.c and sqlite3.h, in the include path; see docs/benchmarks.md.
#define SQLITE_OS_OTHER 1
#define SQLITE_THREADSAFE 0
#define SQLITE_OMIT_LOAD_EXTENSION 1
#define SQLITE_OMIT_WAL 1
#define SQLITE_OMIT_LOCALTIME 1
#define SQLITE_TEMP_STORE 3
#define SQLITE_DEFAULT_MEMSTATUS 0
#include <sqlite3.c>

#include "../bench.h"

// Databases in memory need a file system to exist, but never open a file.
static int no_open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags,
                   int* out) {
  (void)vfs, (void)name, (void)flags, (void)out;
  file->pMethods = NULL;
  return SQLITE_CANTOPEN;
}
static int no_delete(sqlite3_vfs* vfs, const char* name, int sync) {
  (void)vfs, (void)name, (void)sync;
  return SQLITE_IOERR;
}
static int no_access(sqlite3_vfs* vfs, const char* name, int flags, int* out) {
  (void)vfs, (void)name, (void)flags;
  *out = 0;
  return SQLITE_OK;
}
static int full_name(sqlite3_vfs* vfs, const char* name, int size, char* out) {
  (void)vfs;
  snprintf(out, (size_t)size, "%s", name);
  return SQLITE_OK;
}
static int fixed_randomness(sqlite3_vfs* vfs, int size, char* out) {
  (void)vfs;
  memset(out, 7, (size_t)size);
  return size;
}
static int no_sleep(sqlite3_vfs* vfs, int microseconds) {
  (void)vfs;
  return microseconds;
}
static int fixed_time(sqlite3_vfs* vfs, double* day) {
  (void)vfs;
  *day = 2460000.5;
  return SQLITE_OK;
}

int sqlite3_os_init(void) {
  static sqlite3_vfs vfs = {.iVersion = 1,
                            .szOsFile = sizeof(sqlite3_file),
                            .mxPathname = 64,
                            .zName = "none",
                            .xOpen = no_open,
                            .xDelete = no_delete,
                            .xAccess = no_access,
                            .xFullPathname = full_name,
                            .xRandomness = fixed_randomness,
                            .xSleep = no_sleep,
                            .xCurrentTime = fixed_time};
  return sqlite3_vfs_register(&vfs, 1);
}
int sqlite3_os_end(void) { return SQLITE_OK; }

static sqlite3* database;

static sqlite3_stmt* prepare(const char* sql) {
  sqlite3_stmt* statement = NULL;
  int status = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);
  if (status != SQLITE_OK) fprintf(stderr, "%s\n", sqlite3_errmsg(database));
  bench_require(status == SQLITE_OK, sql);
  return statement;
}

// Runs a statement to its end and adds all that it gives to the checksum.
static int query(sqlite3_stmt* statement) {
  int rows = 0, status;
  while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
    ++rows;
    for (int i = 0; i < sqlite3_column_count(statement); ++i) {
      if (sqlite3_column_type(statement, i) == SQLITE_TEXT) {
        bench_add_bytes(sqlite3_column_text(statement, i),
                        (size_t)sqlite3_column_bytes(statement, i));
      } else {
        bench_add((uint64_t)sqlite3_column_int64(statement, i));
      }
    }
  }
  bench_require(status == SQLITE_DONE, sqlite3_errmsg(database));
  sqlite3_reset(statement);
  return rows;
}

static int query_text(const char* sql) {
  sqlite3_stmt* statement = prepare(sql);
  int rows = query(statement);
  sqlite3_finalize(statement);
  return rows;
}

int main(int argc, char** argv) {
  int people = bench_start(argc, argv, 150000, 3000);
  bench_require(sqlite3_open(":memory:", &database) == SQLITE_OK, "cannot open the database");
  query_text("CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, city INTEGER, age INTEGER)");
  query_text("CREATE TABLE city(id INTEGER PRIMARY KEY, name TEXT)");
  query_text("CREATE INDEX person_city ON person(city, age)");
  query_text("BEGIN");
  sqlite3_stmt* insert = prepare("INSERT INTO city VALUES(?, 'city ' || ?)");
  for (int i = 0; i < 200; ++i) {
    sqlite3_bind_int(insert, 1, i);
    sqlite3_bind_int(insert, 2, i * 7);
    query(insert);
  }
  sqlite3_finalize(insert);
  insert = prepare("INSERT INTO person VALUES(?, ?, ?, ?)");
  for (int i = 0; i < people; ++i) {
    char name[16];
    int letters = 4 + (int)bench_random_below(10);
    for (int j = 0; j < letters; ++j) name[j] = (char)('a' + bench_random_below(26));
    sqlite3_bind_int(insert, 1, i);
    sqlite3_bind_text(insert, 2, name, letters, SQLITE_TRANSIENT);
    sqlite3_bind_int(insert, 3, (int)bench_random_below(200));
    sqlite3_bind_int(insert, 4, (int)bench_random_below(100));
    query(insert);
  }
  sqlite3_finalize(insert);
  query_text("COMMIT");

  sqlite3_stmt* by_id = prepare("SELECT name, age FROM person WHERE id = ?");
  sqlite3_stmt* by_city =
      prepare("SELECT count(*), max(age) FROM person WHERE city = ? AND age < ?");
  for (int i = 0; i < people; ++i) {
    sqlite3_bind_int(by_id, 1, (int)bench_random_below((uint32_t)people));
    bench_require(query(by_id) == 1, "a person is missing");
    if (i % 100 != 0) continue;
    sqlite3_bind_int(by_city, 1, (int)bench_random_below(200));
    sqlite3_bind_int(by_city, 2, (int)bench_random_below(100));
    query(by_city);
  }
  sqlite3_finalize(by_id);
  sqlite3_finalize(by_city);
  int cities = query_text(
      "SELECT city.name, count(*), sum(age), min(person.name) FROM person "
      "JOIN city ON city.id = person.city GROUP BY city.id ORDER BY 3 DESC");
  bench_require(cities > 0 && cities <= 200, "the groups are wrong");
  query_text("SELECT name, age FROM person WHERE name LIKE '%ab%' ORDER BY name");
  query_text(
      "UPDATE person SET age = age + 1, name = upper(substr(name, 1, 2)) || name "
      "WHERE city % 3 = 0");
  query_text("DELETE FROM person WHERE age > 80");
  query_text(
      "SELECT substr(name, 1, 1) AS letter, count(*), avg(age) > 50 FROM person "
      "GROUP BY letter ORDER BY letter");
  sqlite3_stmt* series = prepare(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
      "SELECT sum(i * i % 7), count(DISTINCT i % 1013) FROM n");
  sqlite3_bind_int(series, 1, people / 3);
  query(series);
  sqlite3_finalize(series);
  sqlite3_close(database);
  return bench_finish("sqlite");
}
