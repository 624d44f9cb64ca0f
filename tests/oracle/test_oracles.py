"""The oracles, tried on cases that can be checked by hand: an oracle that accepts everything proves nothing.

usage: python -m unittest discover -s tests/oracle
"""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import cog  # noqa: E402
import common  # noqa: E402


def write(path, pixels, nodata=None, east=0):
    with rasterio.open(path, "w", driver="GTiff", count=1, height=pixels.shape[0], width=pixels.shape[1],
                       dtype=pixels.dtype.name, nodata=nodata, crs="EPSG:32633",
                       transform=from_origin(east, 0, 10, 10)) as out:
        out.write(pixels, 1)
    return str(path)


def ask(oracle, *arguments):
    answer = subprocess.run([sys.executable, HERE / oracle, *arguments], capture_output=True, text=True)
    return answer.returncode, json.loads(answer.stdout)


class Oracles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)

    def test_average_of_even_sizes_is_the_mean_of_four(self):
        value = np.arange(16.0).reshape(4, 4)
        mean, known = cog.average(value, np.ones((4, 4), bool), (2, 2))
        np.testing.assert_allclose(mean, [[2.5, 4.5], [10.5, 12.5]])
        self.assertTrue(known.all())

    def test_average_of_odd_sizes_weighs_the_shared_pixel(self):
        mean, _ = cog.average(np.array([[0.0, 3.0, 9.0]]), np.ones((1, 3), bool), (1, 2))
        np.testing.assert_allclose(mean, [[1.0, 7.0]])  # 3 belongs by half to either side: (0 + 1.5) / 1.5, ...

    def test_average_ignores_what_is_not_valid(self):
        mean, known = cog.average(np.array([[4.0, 99.0, 7.0, 7.0], [2.0, 99.0, 7.0, 7.0]]),
                                  np.array([[True, False, False, False]] * 2), (1, 2))
        self.assertEqual((mean[0, 0], known.tolist()), (3.0, [[True, False]]))

    def test_moments_are_exact(self):
        got = common.moments(np.array([2, 4, 4, 4, 5, 5, 7, 9], "u2"))
        self.assertEqual(got, dict(count=8, min=2, max=9, mean=5.0, std=2.0))
        far = common.moments(np.array([1e8 + 2, 1e8 + 4, 1e8 + 6], "f8"))
        self.assertAlmostEqual(far["std"], (8 / 3) ** 0.5, places=12)

    def test_ndvi_says_yes_and_no(self):
        red = write(self.path / "r.tif", np.array([[1, 2, 0, 0]], "u2"), 0)
        nir = write(self.path / "n.tif", np.array([[3, 2, 5, 0]], "u2"), 0)
        good = write(self.path / "g.tif", np.array([[0.5, 0, -9, -9]], "f4"), -9)
        self.assertEqual(ask("ndvi.py", red, nir, good)[0], 0)
        for name, pixels, east in (("value", [[0.5, 1e-5, -9, -9]], 0), ("hole", [[0.5, 0, 1, -9]], 0),
                                   ("place", [[0.5, 0, -9, -9]], 10)):
            bad = write(self.path / f"{name}.tif", np.array(pixels, "f4"), -9, east)
            self.assertEqual(ask("ndvi.py", red, nir, bad)[0], 1, name)

    def test_normalize_says_yes_and_no(self):
        given = write(self.path / "in.tif", np.array([[2, 4, 4, 4, 5, 5, 7, 9, 0]], "u2"), 0)
        scores = [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2, -9]
        good = write(self.path / "g.tif", np.array([scores], "f4"), -9)
        self.assertEqual(ask("normalize.py", given, good)[0], 0)
        self.assertEqual(ask("normalize.py", given, good, "--ddof", "1")[0], 1)
        for name, pixels, east in (("value", [*scores[:4], 1e-5, *scores[5:]], 0), ("hole", [*scores[:8], 1], 0),
                                   ("place", scores, 10)):
            bad = write(self.path / f"{name}.tif", np.array([pixels], "f4"), -9, east)
            self.assertEqual(ask("normalize.py", given, bad)[0], 1, name)

    def test_equal_says_yes_and_no(self):
        a = write(self.path / "a.tif", np.array([[1, 2], [3, 0]], "u1"), 0)
        self.assertEqual(ask("equal.py", a, a)[0], 0)
        for name, pixels, nodata, east in (("pixel", [[1, 2], [4, 0]], 0, 0), ("nodata", [[1, 2], [3, 0]], None, 0),
                                           ("place", [[1, 2], [3, 0]], 0, 10)):
            b = write(self.path / f"{name}.tif", np.array(pixels, "u1"), nodata, east)
            self.assertEqual(ask("equal.py", a, b)[0], 1, name)

    def test_stats_says_yes_and_no(self):
        a = write(self.path / "a.tif", np.array([[2, 4, 4, 4, 5, 5, 7, 9, 0]], "u1"), 0)
        good = dict(count=8, min=2, max=9, mean=5.0, std=2.0)
        for change, code in ((dict(), 0), (dict(count=9), 1), (dict(std=2.0000001), 1)):
            (self.path / "s.json").write_text(json.dumps(dict(report=dict(bands=[good | change]))))
            self.assertEqual(ask("stats.py", a, str(self.path / "s.json"))[0], code, change)

    def test_cog_refuses_plain_striped_files(self):
        a = write(self.path / "a.tif", np.ones((600, 600), "u1"))
        self.assertEqual(ask("cog.py", a)[0], 1)


if __name__ == "__main__":
    unittest.main()
