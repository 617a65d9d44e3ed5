"""Numba kernels over players, trees and parts.

Numba's cache is invalidated only when the file of the called function changes, not when a callee or a
global in another file does. So kernels that call each other share this file, and everything else is an
argument.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, vectorize
from numba.extending import intrinsic

MISSING = 255
"""The byte of a missing value, and of a category that training never saw."""
SEAT_NUMBERS = 5
"""Numbers that :func:`party_features` reads of a player."""
_LOW_GROUPS = 3


@njit(cache=True, nogil=True, error_model="numpy")
def party_features(seats, fight, specs, party_size):
    """``features.PARTY_FEATURES`` of each player: sums over the fight, less the own part where it says so.

    Args:
        seats: item level, ark passive (0, 1, NaN), support (0, 1), of a support class (0, 1), and the number
            of the support's spec, ``specs`` for others; all players of each fight.
        fight: number of the fight, from 0.
        specs: number of support specs.
        party_size: players in a party.
    """
    fights = fight.max() + 1 if len(fight) else 0
    size, supports, of_spec = np.zeros(fights), np.zeros(fights), np.zeros((fights, specs))
    # Sums of what is known, and how many know it: item level, that of supports, ark passive.
    total, known = np.zeros((fights, 3)), np.zeros((fights, 3))
    lowest, highest = np.full(fights, np.nan), np.full(fights, np.nan)
    for row in range(len(seats)):
        at, level, ark, is_support = fight[row], seats[row, 0], seats[row, 1], seats[row, 2] > 0
        size[at] += 1
        supports[at] += is_support
        if seats[row, 4] < specs:
            of_spec[at, int(seats[row, 4])] += 1
        if not np.isnan(level):
            total[at, 0] += level
            known[at, 0] += 1
            lowest[at] = np.fmin(lowest[at], level)
            highest[at] = np.fmax(highest[at], level)
            if is_support:
                total[at, 1] += level
                known[at, 1] += 1
        if not np.isnan(ark):
            total[at, 2] += ark
            known[at, 2] += 1
    found = np.empty((len(seats), 9 + specs))
    for row in range(len(seats)):
        at, level, ark = fight[row], seats[row, 0], seats[row, 1]
        is_measured = total[at, 2] > 0
        has_open_seat = supports[at] < np.ceil(size[at] / party_size)
        of_others = total[at, 0] - (0.0 if np.isnan(level) else level)
        others = known[at, 0] - (not np.isnan(level))
        ark_of_others = total[at, 2] - (0.0 if np.isnan(ark) else ark)
        others_with_ark = known[at, 2] - (not np.isnan(ark))
        found[row, 0] = ark if is_measured else np.nan
        found[row, 1] = size[at]
        found[row, 2] = supports[at]
        for spec in range(specs):
            found[row, 3 + spec] = of_spec[at, spec]
        found[row, 3 + specs] = seats[row, 3] > 0 and seats[row, 2] == 0 and has_open_seat
        found[row, 4 + specs] = of_others / others
        found[row, 5 + specs] = lowest[at]
        found[row, 6 + specs] = highest[at]
        found[row, 7 + specs] = total[at, 1] / known[at, 1]
        found[row, 8 + specs] = ark_of_others / others_with_ark if is_measured else np.nan
    return found


@njit(cache=True, nogil=True)
def encode_features(matrix, categories, edges, edge_starts):
    """``trees.CompiledPipeline.codes``; the first ``categories`` columns are codes already."""
    rows, features = matrix.shape[0], matrix.shape[1] - 1
    codes = np.empty((rows, features), np.uint8)
    for row in range(rows):
        for feature in range(features):
            value = matrix[row, feature]
            if feature < categories:
                codes[row, feature] = MISSING if np.isnan(value) else np.uint8(value)
                continue
            low, high = edge_starts[feature - categories], edge_starts[feature - categories + 1]
            if np.isnan(value):
                # A number that training never saw has no edges: the same for all rows.
                codes[row, feature] = MISSING if high > low else 0
                continue
            first = low
            while low < high:
                middle = (low + high) // 2
                if edges[middle] <= value:
                    low = middle + 1
                else:
                    high = middle
            codes[row, feature] = low - first
    return codes


@intrinsic
def _lowest_bit(_typing, bits):
    """The number of the lowest bit that is set in ``bits``, which is not 0."""

    def generate(_context, builder, _signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return bits(bits), generate


@njit(cache=True, nogil=True)
def _narrow(left, reach_of, reach, codes, group_of, groups):
    """Take from ``left`` (groups, trees) of one row what its features in ``groups`` exclude."""
    for feature in range(len(codes)):
        group, at = group_of[feature], reach_of[feature, codes[feature]]
        if group < groups and at > 0:
            for tree in range(left.shape[1]):
                left[group, tree] &= reach[at, tree]


@njit(cache=True, nogil=True)
def remaining_leaves(codes, group_of, groups, reach_of, reach):
    """``trees.CompiledPipeline.remaining_leaves`` of ``groups``, the one of features in no group included."""
    found = np.empty((len(codes), groups, reach.shape[1]), reach.dtype)
    for row in range(len(codes)):
        for group in range(groups):
            # Row 0: all leaves.
            found[row, group] = reach[0]
        _narrow(found[row], reach_of, reach, codes[row], group_of, groups)
    return found


@njit(cache=True, nogil=True)
def sum_trees(starts, codes, group_of, reach_of, reach, leaves, baseline):
    """``trees.CompiledPipeline.sums``."""
    rows, groups, trees = starts.shape[0], starts.shape[1] - 1, starts.shape[2]
    # Two small tables, of the mixtures of the first groups and of the others, stay in the fastest memory.
    low = min(groups, _LOW_GROUPS)
    size = 1 << low
    found = np.empty((rows, 1 << groups))
    end = np.empty((groups, trees), reach.dtype)
    lows, highs = np.empty((size, trees), reach.dtype), np.empty((1 << groups - low, trees), reach.dtype)
    for row in range(rows):
        start = starts[row]
        for group in range(groups):
            end[group] = reach[0]
        _narrow(end, reach_of, reach, codes[row], group_of, groups)
        lows[0], highs[0] = start[groups], reach[0]
        _mix(lows, start[:low], end[:low])
        _mix(highs, start[low:groups], end[low:])
        for high in range(len(highs)):
            _add_up(leaves, lows, highs[high], baseline, found[row, high * size : (high + 1) * size])
    return found


@njit(cache=True, nogil=True)
def _mix(left, start, end):
    """Fill ``left`` (2 ** groups, trees), whose first row is given, with what the mixtures leave of it."""
    for group in range(len(start)):
        size = 1 << group
        for mixture in range(size):
            for tree in range(left.shape[1]):
                before = left[mixture, tree]
                left[size + mixture, tree] = before & end[group, tree]
                left[mixture, tree] = before & start[group, tree]


@njit(cache=True, nogil=True)
def _add_up(leaves, lows, high, baseline, total):
    """Tree after tree, as scikit-learn adds them: the same sums to the last bit. Eight go on side by side."""
    whole = len(total) // 8 * 8
    for at in range(0, whole, 8):
        one = two = three = four = five = six = seven = eight = baseline
        for tree in range(len(leaves)):
            leaf, some = leaves[tree], high[tree]
            one += leaf[_lowest_bit(lows[at, tree] & some)]
            two += leaf[_lowest_bit(lows[at + 1, tree] & some)]
            three += leaf[_lowest_bit(lows[at + 2, tree] & some)]
            four += leaf[_lowest_bit(lows[at + 3, tree] & some)]
            five += leaf[_lowest_bit(lows[at + 4, tree] & some)]
            six += leaf[_lowest_bit(lows[at + 5, tree] & some)]
            seven += leaf[_lowest_bit(lows[at + 6, tree] & some)]
            eight += leaf[_lowest_bit(lows[at + 7, tree] & some)]
        total[at], total[at + 1], total[at + 2], total[at + 3] = one, two, three, four
        total[at + 4], total[at + 5], total[at + 6], total[at + 7] = five, six, seven, eight
    for at in range(whole, len(total)):
        one = baseline
        for tree in range(len(leaves)):
            one += leaves[tree, _lowest_bit(lows[at, tree] & high[tree])]
        total[at] = one


@vectorize(cache=True)
def log_mean(one, other):
    """``parts.logarithmic_mean``."""
    log_ratio = np.log(one / other)
    return other * (np.expm1(log_ratio) / log_ratio if log_ratio != 0 else 1.0)


@njit(cache=True, nogil=True)
def round_parts(mixtures, shares, start, end):
    """Parts (rows, groups) in whole numbers that sum to ``end - start``, whole numbers themselves.

    Args:
        mixtures: logarithms (rows, mixtures): of ``start`` in the first column, of ``end`` in the last.
        shares: ``shapley_shares``. What rounding leaves goes to the largest part.
        start: by row.
        end: by row.
    """
    rows, groups = len(mixtures), shares.shape[1]
    whole = np.empty((rows, groups))
    for row in range(rows):
        scale = log_mean(max(end[row], 1.0), max(start[row], 1.0))
        left, largest, most = end[row] - start[row], 0, -1.0
        for group in range(groups):
            part = 0.0
            for mixture in range(len(shares)):
                part += shares[mixture, group] * (mixtures[row, mixture] - mixtures[row, 0])
            part *= scale
            whole[row, group] = np.rint(part)
            left -= whole[row, group]
            if abs(part) > most:
                largest, most = group, abs(part)
        whole[row, largest] += left
    return whole


@njit(cache=True, nogil=True)
def build_row(usual, values, layout):
    """The features of one player.

    Args:
        usual: features shared by all players of the spec at the gate; NaN where players differ.
        values: the player's, and then the seats of all players, the own one first.
        layout: places in the row of the player's ``values``, places of :func:`party_features`, and the
            last two arguments of those.
    """
    places, party_places, specs, party_size = layout
    seats = values[len(places) :].reshape(-1, SEAT_NUMBERS)
    party = party_features(seats, np.zeros(len(seats), np.int64), specs, party_size)
    row = np.empty((1, len(usual)))
    row[0] = usual
    for number in range(len(places)):
        row[0, places[number]] = values[number]
    for number in range(len(party_places)):
        row[0, party_places[number]] = party[0, number]
    return row


@njit(cache=True, nogil=True)
def predict_one(values, cell, additive, layout, seat, encoding, trees, shares):
    """Expected damage/s of one player with the ends of its interval, that of the typical one, and the parts.

    Args:
        values: see :func:`one_row`.
        cell: ``usual`` of :func:`one_row`, the leaves that the typical player leaves over, whether it has
            the support's seat, and departures of the interval's ends from the expected log DPS.
        additive: what the season's level and effects add without the support's seat and with it.
        layout: see :func:`one_row`.
        seat: place of the support's seat in the row, and number of its group.
        encoding: number of categories, edges, edge_starts.
        trees: group_of, reach_of, reach, leaves, baseline.
        shares: ``parts.shapley_shares``.
    """
    usual_row, start, has_usual_seat, low, high = cell
    group_of, reach_of, reach, leaves, baseline = trees
    without, with_seat = additive
    row = build_row(usual_row, values, layout)
    codes = encode_features(row, encoding[0], encoding[1], encoding[2])
    mixtures = sum_trees(start, codes, group_of, reach_of, reach, leaves, baseline)
    own = with_seat if row[0, seat[0]] > 0 else without
    usual = with_seat if has_usual_seat else without
    for mixture in range(mixtures.shape[1]):
        mixtures[0, mixture] += own if mixture >> seat[1] & 1 else usual
    log_dps = mixtures[0, -1]
    typical, expected = np.rint(np.exp(mixtures[:, 0])), np.rint(np.exp(mixtures[:, -1]))
    parts = round_parts(mixtures, shares, typical, expected)
    found = np.empty(4 + parts.shape[1], np.int64)
    found[0], found[3] = expected[0], typical[0]
    found[1], found[2] = np.rint(np.exp(log_dps + low)), np.rint(np.exp(log_dps + high))
    found[4:] = parts[0]
    return found
