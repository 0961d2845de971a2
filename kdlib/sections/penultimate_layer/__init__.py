"""How tight are the clusters of the penultimate layer?"""
